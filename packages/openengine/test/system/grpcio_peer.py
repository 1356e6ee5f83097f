# SPDX-License-Identifier: Apache-2.0
"""Python's gRPC and protobuf as the other side of OpenEngine, over code that protoc made from our proto files.

grpcio_peer.py verify PROTO_FOLDER GOLDEN             every golden message is protobuf's canonical encoding of its JSON
grpcio_peer.py client PROTO_FOLDER GOLDEN ADDRESS     calls every RPC with every golden request; checks the responses
grpcio_peer.py server PROTO_FOLDER GOLDEN             prints "ADDRESS host:port"; answers golden requests with golden responses
"""
import json
import pathlib
import sys
import tempfile
from concurrent import futures

import grpc
from google.protobuf import json_format
from grpc_tools import protoc

RPCS = {
    "Inference": [("Generate", "GenerateRequest", "GenerateResponse", True)],
    "Control": [
        ("GetServerInfo", "GetServerInfoRequest", "ServerInfo", False),
        ("GetModelInfo", "GetModelInfoRequest", "ModelInfo", False),
        ("GetLoad", "GetLoadRequest", "LoadInfo", False),
        ("Health", "HealthRequest", "HealthResponse", False),
        ("Abort", "AbortRequest", "AbortResponse", False),
        ("LoadLora", "LoadLoraRequest", "LoadLoraResponse", False),
        ("UnloadLora", "UnloadLoraRequest", "UnloadLoraResponse", False),
        ("ListLoras", "ListLorasRequest", "ListLorasResponse", False),
        ("GetKvEventSources", "GetKvEventSourcesRequest", "GetKvEventSourcesResponse", False),
        ("SubscribeKvEvents", "SubscribeKvEventsRequest", "SubscribeKvEventsResponse", True),
    ],
}


def load_types(proto_folder):
    """Message classes by name, of code made afresh."""
    out = tempfile.mkdtemp(prefix="openengine-peer-")
    files = sorted(str(path.relative_to(proto_folder)) for path in pathlib.Path(proto_folder).rglob("*.proto"))
    bundled = str(pathlib.Path(protoc.__file__).parent / "_proto")
    code = protoc.main(["protoc", f"-I{proto_folder}", f"-I{bundled}", f"--python_out={out}", *files])
    if code != 0:
        raise SystemExit(f"protoc failed with {code}")
    sys.path.insert(0, out)
    types = {}
    for name in ("error", "generation", "kv", "lifecycle", "lora", "model", "server"):
        module = __import__(f"openengine.v1.{name}_pb2", fromlist=["DESCRIPTOR"])
        for message in module.DESCRIPTOR.message_types_by_name:
            types[message] = getattr(module, message)
    return types


def load_golden(path):
    golden = {}
    for entry in json.loads(pathlib.Path(path).read_text()):
        golden.setdefault(entry["type"], []).append((bytes.fromhex(entry["hex"]), entry["json"]))
    return golden


def canonical(message):
    return message.SerializeToString(deterministic=True)


def verify(types, golden):
    assert set(types) == set(golden), set(types) ^ set(golden)
    checked = 0
    for name, samples in golden.items():
        cls = types[name]
        assert canonical(cls()) == b""
        shown = set()
        for data, as_json in samples:
            built = json_format.ParseDict(as_json, cls())
            parsed = cls.FromString(data)
            assert built == parsed, f"{name}: {built} is not {parsed}"
            assert canonical(parsed) == data, f"{name}: {canonical(parsed).hex()}"
            shown |= {field.name for field, _ in parsed.ListFields()}
            checked += 1
        missing = {field.name for field in cls.DESCRIPTOR.fields} - shown
        assert not missing, f"{name} shows nothing of {missing}"
    print(f"verified {checked} messages of {len(golden)} types")


def client(types, golden, address):
    calls = 0
    with grpc.insecure_channel(address) as channel:
        for service, rpcs in RPCS.items():
            for rpc, request, response, streams in rpcs:
                kind = channel.unary_stream if streams else channel.unary_unary
                call = kind(
                    f"/openengine.v1.{service}/{rpc}",
                    request_serializer=canonical,
                    response_deserializer=types[response].FromString,
                )
                expected = [types[response].FromString(data) for data, _ in golden[response]]
                for data, _ in golden[request] + [(b"", {})]:
                    answer = call(types[request].FromString(data), timeout=20)
                    if streams:
                        assert list(answer) == expected, rpc
                    else:
                        assert answer == expected[0], rpc
                    calls += 1
    print(f"made {calls} calls")


def server(types, golden):
    # Everything that the calls may say, by type.
    known = {name: [types[name].FromString(data) for data, _ in samples] + [types[name]()] for name, samples in golden.items()}

    def handler(rpc, request, response, streams):
        def check(message, context):
            if message not in known[request]:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{rpc}: unknown request {message}")

        def unary(message, context):
            check(message, context)
            return known[response][0]

        def stream(message, context):
            check(message, context)
            yield from known[response][:-1]

        make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        return make(
            stream if streams else unary,
            request_deserializer=types[request].FromString,
            response_serializer=canonical,
        )

    instance = grpc.server(futures.ThreadPoolExecutor(8))
    for service, rpcs in RPCS.items():
        handlers = {rpc: handler(rpc, request, response, streams) for rpc, request, response, streams in rpcs}
        instance.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"openengine.v1.{service}", handlers),))
    port = instance.add_insecure_port("127.0.0.1:0")
    instance.start()
    print(f"ADDRESS 127.0.0.1:{port}", flush=True)
    # Until whoever started this is gone.
    sys.stdin.read()
    instance.stop(0)


if __name__ == "__main__":
    action, proto_folder, golden_path, *rest = sys.argv[1:]
    {"verify": verify, "client": client, "server": server}[action](load_types(proto_folder), load_golden(golden_path), *rest)
