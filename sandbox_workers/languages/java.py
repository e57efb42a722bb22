"""Java: all classes of the program in one archive; the class with ``main`` is started, whatever its name."""

from __future__ import annotations

from .language import ARTIFACT, Language

_JVM = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
"""Small and quiet: one collector thread, no files about performance."""
_LIBRARIES = ("/usr/bin/env", "LD_LIBRARY_PATH={root}/lib")
"""Commands find their libraries by way of ``/proc``, which programs do not have."""
_BUILD = f"""
javac=$0 jar=$1; shift
public=$(sed 's,//.*,,' Main.java | tr '\\n' ' ' |
  sed -nE 's/.*public +((final|abstract|strictfp|sealed) +)*(class|interface|enum|record) +([A-Za-z0-9_$]+).*/\\4/p')
if [ -n "$public" ] && [ "$public" != Main ]; then mv Main.java "$public.java"; fi
"$javac" {" ".join(f"-J{flag}" for flag in _JVM)} -encoding UTF-8 -proc:none "$@" -d classes ./*.java || exit 1
cd classes
for class in "$public.class" Main.class *.class; do
  if [ -f "$class" ] && grep -q main "$class" && grep -qF '([Ljava/lang/String;)V' "$class"; then break; fi
done
"$jar" {" ".join(f"-J{flag}" for flag in _JVM)} --create --file ../{ARTIFACT} --main-class "${{class%.class}}" .
"""

LANGUAGE = Language(
    name="java",
    aliases=("jdk",),
    suffixes=(".java",),
    source_name="Main.java",
    toolchain=("javac", "jar", "java"),
    build=(*_LIBRARIES, "/bin/sh", "-c", _BUILD, "javac", "jar", "{flags}"),
    run=(
        *_LIBRARIES,
        "java",
        *_JVM,
        "-Xmx{memory_mb}m",
        "-Xss{stack_mb}m",
        "-jar",
        ARTIFACT,
    ),
    settings=("{root}/conf", "{root}/lib/security"),
    error_line=r"(?:^(?:\./)?\w+\.java:|^\tat (?!java\.|jdk\.|sun\.)[^\n(]*\(\w+\.java:)(\d+)",
    memory_marks=("java.lang.OutOfMemoryError",),
    reserves_address_space=True,
    runtime_mb=768,  # the stacks of its own threads count in full
)
