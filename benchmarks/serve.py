"""What the page bears: 200 recordings sent to `cryjax serve`, 16 at once.

    python -m benchmarks.serve MODEL RECORDING

MODEL is an encoder or classifier, RECORDING one audio file. Printed are the seconds from the
command to the first answer, the requests that were not answered with scores, the median and the
longest wait of a request, and the memory of the server and its decoding processes before the load
and at most under it.
"""

import concurrent.futures
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

from benchmarks.timing import answer_help, machine

REQUESTS, AT_ONCE, PORT = 200, 16, 8799
ADDRESS = f"http://127.0.0.1:{PORT}"


def ask(path: str, data: bytes | None = None, name: str = "") -> int:
    """Returns the status of a request, 0 where nobody answers."""
    headers = {"Content-Type": "application/octet-stream", "X-Name": name} if data else {}
    try:
        request = urllib.request.Request(ADDRESS + path, data, headers)
        with urllib.request.urlopen(request, timeout=300) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def memory_mb(parent: int) -> float:
    """Adds the resident memory of a process and its children, in MB."""
    total = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if parent in (int(path.parent.name), int(fields[1])):
            total += int(fields[21]) * 4096
    return total / 1e6


def main() -> None:
    """Runs as the module's docstring describes."""
    answer_help()
    model, recording = sys.argv[1:]
    path = pathlib.Path(recording)
    data = path.read_bytes()
    command = [sys.executable, "-m", "cryjax.serve", model, f"--port={PORT}"]
    started = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not ask("/api/about"):
            if server.poll() is not None:
                sys.exit("the server ended")
            time.sleep(0.05)
        first = ask("/api/listen", data, path.name)
        print(machine("jax", "starlette", "uvicorn"))
        print(
            f"from the command to the first answer ({first}): {time.perf_counter() - started:.1f} s"
        )
        load(server.pid, data, path.name)
    finally:
        server.terminate()
        server.wait()


def load(server: int, data: bytes, name: str) -> None:
    """Sends the requests and prints what became of them."""
    took: list[float] = []
    memory = [memory_mb(server)]

    def one(_: int) -> int:
        started = time.perf_counter()
        status = ask("/api/listen", data, name)
        took.append(time.perf_counter() - started)
        memory.append(memory_mb(server))
        return status

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        found = list(threads.map(one, range(REQUESTS)))
    seconds = time.perf_counter() - started
    lost = sum(status != 200 for status in found)
    print(
        f"{REQUESTS} requests, {AT_ONCE} at once, in {seconds:.1f} s: {lost} lost, median "
        f"{statistics.median(took):.2f} s, longest {max(took):.2f} s\n"
        f"memory: {memory[0]:.0f} MB before, {max(memory):.0f} MB at most"
    )


if __name__ == "__main__":
    main()
