"""Serves a registered model over HTTP with MLflow, and answers all that cannot be used with the reason and status 400.

Started as a file by :mod:`contrastive_har.commands.serve`, so that this package is not imported before the model, which
brings the code it was registered with.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys

import mlflow
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server

_INPUTS = re.compile(r"[.\n] ?Error: ")  # MLflow repeats the whole input before it
_LONGEST = 2000  # characters of a message
_TOO_DEEP = "The JSON is nested too deeply: windows are (batch, time, channels)."


def create_app(model: PyFuncModel) -> FastAPI:
    """Return the service of a model: MLflow's, but for the answers to requests that it cannot use.

    MLflow's have a stack trace with paths, or status 500 where parsing them raises other errors than it expects.
    """
    app = FastAPI(openapi_url=None)
    schema = model.metadata.get_input_schema()  # type: ignore[no-untyped-call]

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            return _refuse("Send JSON, with Content-Type: application/json.", 415)
        try:
            answer = await asyncio.to_thread(scoring_server.invocations, await request.body(), kind, model, schema)
        except MlflowException as error:
            reason = _TOO_DEEP if "RecursionError" in error.message else _INPUTS.split(error.message)[-1]
            return _refuse(reason, error.get_http_status_code())  # type: ignore[no-untyped-call]
        except RecursionError:
            return _refuse(_TOO_DEEP)
        except ValueError as error:
            return _refuse(str(error))
        return Response(answer.response, answer.status, media_type=answer.mimetype)

    app.mount("/", scoring_server.init(model))
    return app


def _refuse(reason: str, status: int = 400) -> Response:
    # Half a character, as escapes in JSON can say, cannot be sent.
    return JSONResponse({"message": reason[:_LONGEST].encode(errors="replace").decode()}, status)


def main() -> None:
    """Serve a model on this machine until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="its address, such as models:/NAME/latest")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    try:
        model = mlflow.pyfunc.load_model(arguments.model)
    except MlflowException as error:
        registered = ", ".join(sorted(one.name for one in mlflow.MlflowClient().search_registered_models()))
        known = f"Registered are: {registered or 'none'}."
        sys.exit(f"{error.message.rstrip('.')}. {known} Run 'kedro run', or give --dataset and --protocol.")
    uvicorn.run(create_app(model), host="127.0.0.1", port=arguments.port)


if __name__ == "__main__":
    main()
