#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One rank of an engine; beside the first one its worker. Started by srun (or mpirun), once for each GPU.
#   rank.sh agg|prefill|decode engine.yaml
set -euo pipefail
role=$1
yaml=$2
port=${ENGINE_PORT:-50051}

if [ "${SLURM_PROCID:-${OMPI_COMM_WORLD_RANK:?run it with srun or mpirun}}" = 0 ]; then
  mode=()
  [ "$role" = agg ] || mode=(--disaggregation-mode "$role")
  # It waits for the engine; the address is of the others' network, the engine's is not.
  dyn-worker worker --engine trtllm --grpc-endpoint "127.0.0.1:$port" \
    --model "$MODEL_PATH" ${SERVED_MODEL_NAME:+--served-model-name "$SERVED_MODEL_NAME"} \
    --extra-engine-args "$yaml" "${mode[@]}" --tcp-host "$(hostname -i | cut -d' ' -f1)" &
  worker=$!
  # srun ends all ranks when one ends badly: so must this one when its worker does.
  trap 'kill "$worker" 2>/dev/null || true' EXIT
  trtllm-llmapi-launch trtllm-serve "$MODEL_PATH" --grpc --grpc-protocol openengine \
    --host 127.0.0.1 --port "$port" --extra_llm_api_options "$yaml" &
  engine=$!
  trap 'kill -TERM "$worker" "$engine" 2>/dev/null || true' TERM INT
  wait -n "$worker" "$engine" || true
  exit 1
fi
exec trtllm-llmapi-launch trtllm-serve "$MODEL_PATH" --grpc --grpc-protocol openengine \
  --host 127.0.0.1 --port "$port" --extra_llm_api_options "$yaml"
