"""The list of packages; conf/ at the top level is installed as prl_ray.conf (see setup.cfg for where it lies)."""

from setuptools import find_namespace_packages, find_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=["prl_ray", "prl_ray.*", "sandbox_workers", "sandbox_workers.*"]),
        *(f"prl_ray.{package}" for package in find_packages(include=["conf", "conf.*"])),
    ]
)
