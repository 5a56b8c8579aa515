"""A page of this machine to listen to recordings and to label windows.

    cryjax serve runs/judged/best/linear-seed0
    cryjax serve runs/mine --embeddings=embeddings.parquet

Open the address that it shows. It answers this machine alone; --host=0.0.0.0 answers others too,
who then need the token in the address. Uploads are decoded in processes of their own and deleted.
With --embeddings, a file of `cryjax embed`, its windows can be looked through and labelled; labels
are kept in <file>.labels.csv, which `cryjax prepare --corpus=csv` reads.
"""

import argparse
import pathlib
import secrets
import sys

from cryjax.deploy.classifier import load
from cryjax.deploy.command import answer
from cryjax.errors import UserError

LOCAL = ("127.0.0.1", "localhost")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="folder of an encoder or classifier")
    parser.add_argument("--embeddings", help=".parquet or .npz of cryjax embed, to explore")
    parser.add_argument("--host", default=LOCAL[0], help="address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="port (default: %(default)s)")
    parser.add_argument("--token", help="what visitors must know; drawn by chance for other hosts")
    parser.add_argument(
        "--max_mb", type=int, default=200, help="largest upload in MB (default: %(default)s)"
    )
    parser.add_argument(
        "--max_minutes", type=float, default=30, help="longest recording (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="processes that decode (default: %(default)s)"
    )
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    try:
        import uvicorn

        from cryjax.serve.app import ServeSettings, make_app
    except ImportError:
        raise UserError(
            "cryjax serve needs starlette and uvicorn: pip install cryjax[serve]"
        ) from None
    from cryjax.train import mesh

    mesh.keep_compiled()
    local = asked.host in LOCAL
    token = asked.token or ("" if local else secrets.token_urlsafe(24))
    names = frozenset(f"{name}:{asked.port}" for name in LOCAL) if local else frozenset()
    app = make_app(
        load(asked.model),
        ServeSettings(max_mb=asked.max_mb, max_minutes=asked.max_minutes, workers=asked.workers),
        embeddings=pathlib.Path(asked.embeddings) if asked.embeddings else None,
        hosts=names,
        token=token,
    )
    print(f"http://{asked.host}:{asked.port}/{f'?token={token}' if token else ''}", flush=True)
    uvicorn.run(
        app,
        host=asked.host,
        port=asked.port,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=5,
        limit_concurrency=256,
    )


if __name__ == "__main__":
    sys.exit(main())
