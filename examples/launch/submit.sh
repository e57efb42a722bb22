#!/bin/bash
# ray job submit: sends this checkout to a running Ray cluster, and follows the run's output.
#   examples/launch/submit.sh http://HEAD:8265 runs_dir=/shared/runs [OVERRIDES...]
# The nodes need the packages of requirements/; the code is sent with the job. runs_dir must be on a file system that
# all nodes share.
set -euo pipefail
address=${1:?the address of the dashboard, such as http://10.0.0.1:8265}
shift
cd "$(dirname "$0")/../.."

# Sends only the code, without results, environments and history.
environment='{"excludes": [".git", ".venv", "runs", "dist", "benchmarks/results", "tests", "docs"],
              "env_vars": {"PYTHONPATH": "."}}'
exec ray job submit --address "$address" --working-dir . --runtime-env-json "$environment" \
    -- python -m prl_ray.train +cluster=multi_node "$@"
