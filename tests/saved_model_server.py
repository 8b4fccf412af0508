"""Answers requests to TensorFlow Serving from SavedModels, with TensorFlow and the published messages alone.

    python tests/saved_model_server.py GRPC_PORT REST_PORT NAME=FOLDER ...

It stands in for the container `tensorflow/serving`: the gRPC method `Predict` and `POST /v1/models/NAME:predict`,
mapped onto a signature of the version folder FOLDER as TensorFlow's guide to both says. Neither the package `fashion`
nor Keras can be imported here: what is answered comes from the file alone.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ABSENT = ("fashion", "keras")
for name in ABSENT:
    sys.modules[name] = None

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import grpc  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc  # noqa: E402

DEFAULT = "serving_default"
SIGNATURES = {}


def inputs_of(signature):
    return signature.structured_input_signature[1]


def call(signature, given):
    """What the signature answers; ValueError if the inputs are not its own."""
    wanted = inputs_of(signature)
    if set(given) != set(wanted):
        raise ValueError(f"the inputs are {sorted(given)}, those of the signature {sorted(wanted)}")
    return signature(**{name: tf.constant(value, wanted[name].dtype) for name, value in given.items()})


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def Predict(self, request, context):  # noqa: N802 - the name is gRPC's
        found = SIGNATURES.get(request.model_spec.name, {}).get(request.model_spec.signature_name or DEFAULT)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no {request.model_spec}")
        answers = call(found, {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()})
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name in request.output_filter or answers:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(answers[name]))
        return response


class Rest(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.removeprefix("/v1/models/").removesuffix(":predict")
        try:
            status, answer = 200, self.answer(SIGNATURES[name][body.get("signature_name", DEFAULT)], body)
        except (KeyError, ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            status, answer = 400, {"error": str(error)}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @staticmethod
    def answer(signature, body):
        """Row form: instances, each the value of the only input or a dictionary. Columnar form: inputs, likewise."""
        (only,) = inputs_of(signature)
        if ("instances" in body) == ("inputs" in body):
            raise ValueError("expected either instances or inputs")
        if "inputs" in body:
            given = body["inputs"] if isinstance(body["inputs"], dict) else {only: body["inputs"]}
            return {"outputs": {name: one.numpy().tolist() for name, one in call(signature, given).items()}}
        rows = [row if isinstance(row, dict) else {only: row} for row in body["instances"]]
        answers = call(signature, {name: [row[name] for row in rows] for name in rows[0]})
        columns = {name: one.numpy().tolist() for name, one in answers.items()}
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def main(grpc_port, rest_port, *models):
    kept = {}
    for model in models:
        name, _, folder = model.partition("=")
        kept[name] = tf.saved_model.load(folder)
        SIGNATURES[name] = dict(kept[name].signatures)
    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(), server)
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    server.start()
    assert all(sys.modules[name] is None for name in ABSENT)
    print("ready", flush=True)  # noqa: T201
    ThreadingHTTPServer(("127.0.0.1", int(rest_port)), Rest).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
