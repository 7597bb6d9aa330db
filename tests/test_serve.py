"""A server in a process of its own: the protocol by its own client, image files as `predict` answers them, what is
wrong with requests, and the end."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image
from support.executor import InlineExecutor
from support.formats import PAGE, hold
from support.networks import GROWABLE
from support.serving import BLOCKED, CHATTY, RULES, Live, binary_request

import budgetnet
from budgetnet.cli import main
from budgetnet.data import digits
from budgetnet.ship.answering import answerer_of_file
from budgetnet.training.predict import Prediction

for needed in ("onnxruntime", "onnxscript", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(needed, reason="a package of budgetnet[serve] is not installed")
triton = pytest.importorskip("tritonclient.http", reason="the protocol's client is not installed")

NETWORK = dataclasses.replace(GROWABLE, in_channels=1, classes=10)
INFER = "/v2/models/digits/infer"
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("serve") / "run"
    budgetnet.train("digits", NETWORK, epochs=4, out=run, cluster=InlineExecutor())
    return run


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    from budgetnet.ship.onnx.of_weights import write_float32

    return Path(write_float32((str(run), str(run.parent / "digits.onnx"))))


@pytest.fixture(scope="module")
def live(model: Path) -> Iterator[Live]:
    more = f"cats@2={model}"
    with Live(str(model), f"cats={model}", more, "--request-bytes", "1MiB", "--image-pixels", "1M") as server:
        yield server


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images as people send them: kinds of files, turned, transparent, of many bits, large and small."""
    folder = tmp_path_factory.mktemp("photos")
    one = Image.fromarray(digits.pixels()[0][..., 0])
    large = one.resize((300, 200))
    turned = Image.Exif()
    turned[0x0112] = 6
    one.save(folder / "small.png")
    large.save(folder / "grey.jpg")
    large.convert("RGB").save(folder / "turned.jpg", exif=turned)
    large.convert("CMYK").save(folder / "cmyk.jpg")
    large.convert("P").save(folder / "palette.gif")
    clear = large.convert("RGBA")
    clear.putalpha(large)
    clear.save(folder / "clear.png")
    Image.fromarray(np.asarray(large).astype(np.uint16) * 257).save(folder / "deep.png")
    large.resize((900, 700)).save(folder / "large.webp")
    Image.effect_noise((64, 64), 90).save(folder / "noise.png")
    return folder


def some(count: int = 1) -> np.ndarray[Any, Any]:
    pixels = np.stack([one for one in digits.pixels()[:count]])
    large = [np.asarray(Image.fromarray(one[..., 0]).resize((16, 16)))[..., None] for one in pixels]
    return np.stack(large).astype(np.uint8)


def client_of(live: Live) -> Any:
    return triton.InferenceServerClient(live.started["address"].removeprefix("http://"))


def given(images: np.ndarray[Any, Any], binary: bool = True) -> Any:
    found = triton.InferInput("image", list(images.shape), "UINT8")
    found.set_data_from_numpy(images, binary_data=binary)
    return found


def test_triton_s_client_asks_with_its_defaults(live: Live, model: Path) -> None:
    client, images = client_of(live), some(3)
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("digits") and client.is_model_ready("cats", "2")
    assert not client.is_model_ready("dogs") and not client.is_model_ready("digits", "7")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    row = client.get_model_metadata("digits")
    assert row["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 16, 16, 1]}]
    logits, probabilities = answerer_of_file(model, "onnx").answer(images)
    answer = client.infer("digits", [given(images)], request_id="first")
    np.testing.assert_allclose(answer.as_numpy("logits"), logits, atol=1e-5)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), probabilities, atol=1e-6)
    assert answer.get_response()["id"] == "first"
    for binary in (True, False):
        for wanted in (True, False):
            outputs = [triton.InferRequestedOutput("probabilities", binary_data=wanted)]
            answer = client.infer("digits", [given(images, binary)], outputs=outputs)
            np.testing.assert_allclose(answer.as_numpy("probabilities"), probabilities, atol=1e-6)
            assert answer.as_numpy("logits") is None
    jobs = [client.async_infer("cats", [given(images[:1])], model_version="1") for _ in range(5)]
    assert all(job.get_result().get_response()["model_version"] == "1" for job in jobs)
    assert client.infer("cats", [given(images)]).get_response()["model_version"] == "2", "the last one"


def test_triton_s_client_is_told_what_is_wrong(live: Live) -> None:
    client = client_of(live)
    wrong = triton.InferInput("image", [1, 4], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 4), np.float32))
    with pytest.raises(triton.InferenceServerException, match="it must be 'UINT8'"):
        client.infer("digits", [wrong])
    with pytest.raises(triton.InferenceServerException, match="served are digits, cats"):
        client.infer("dogs", [given(some())])
    with pytest.raises(triton.InferenceServerException, match="classification, which is not one of"):
        client.infer("digits", [given(some())], outputs=[triton.InferRequestedOutput("logits", class_count=2)])
    with pytest.raises(triton.InferenceServerException, match="send the body as it is"):
        client.infer("digits", [given(some())], request_compression_algorithm="gzip")
    assert live.lives()


def test_answers_keep_the_protocol_s_published_rules(live: Live) -> None:
    get = live.client.get
    for path in ("/v2", "/v2/"):
        jsonschema.validate(get(path).json(), RULES["server"])
    for path in ("/v2/models/digits", "/v2/models/cats/versions/1"):
        jsonschema.validate(get(path).json(), RULES["model"])
    assert get("/v2/models/cats").json()["versions"] == ["1", "2"]
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"live": True, "ready": True}
    assert get("/v2/models/cats/versions/2/ready").json() == {"name": "cats", "ready": True}
    images = some(2)
    row = {"name": "image", "datatype": "UINT8", "shape": list(images.shape), "data": images.tolist()}
    answer = live.client.post(INFER, json={"id": "42", "inputs": [row]})
    assert (
        answer.headers["content-type"] == "application/json" and "Inference-Header-Content-Length" not in answer.headers
    )
    jsonschema.validate(answer.json(), RULES["answer"])
    assert [one["name"] for one in answer.json()["outputs"]] == ["logits", "probabilities"]


def test_metadata_says_what_reading_the_answers_takes(live: Live, run: Path) -> None:
    properties = live.client.get("/v2/models/digits").json()["properties"]
    assert json.loads(properties["classes"]) == list("0123456789")
    record = json.loads((run / "metrics.json").read_text("utf-8"))
    assert float(properties["temperature"]) == pytest.approx(record["calibration"]["temperature"])
    assert isinstance(float(properties["familiar"]), float)
    for promise in json.loads(properties["promises"]):
        assert promise["wrong"] <= promise["answered"]


def test_an_image_file_is_answered_as_predict_answers_it(live: Live, model: Path, photos: Path) -> None:
    files = sorted(photos.iterdir())
    assert len(files) == 9
    expected = [one for one in budgetnet.predict(model, files, top=10, batch=1) if isinstance(one, Prediction)]
    assert len(expected) == 9
    for file, other in zip(files, expected, strict=True):
        for sent in (live.client.post("/predict/digits?top=10", content=file.read_bytes()), None):
            answer = sent or live.client.post("/predict/digits?top=10", files={"image": (file.name, file.read_bytes())})
            assert answer.status_code == 200, answer.text
            hold(answer.json(), "POST /predict")
            (one,) = answer.json()["predictions"]
            assert one["path"] == ("body" if sent else file.name)
            assert (one["label"], one["note"]) == (other.label, other.note)
            assert one["none_of_these"] is other.none_of_these is not None
            assert [name for name, _ in one["top"]] == [name for name, _ in other.top]
            assert [share for _, share in one["top"]] == pytest.approx([share for _, share in other.top], abs=1e-6)


def test_a_form_may_have_several_files_and_broken_ones_among_them(live: Live, photos: Path) -> None:
    content = (photos / "grey.jpg").read_bytes()
    files = [("a", ("one.jpg", content)), ("b", ("cut.jpg", content[:700])), ("c", ("three.jpg", content))]
    answer = live.client.post("/predict/digits?top=2&max_error=90%", files=files)
    hold(answer.json(), "POST /predict")
    assert [one["path"] for one in answer.json()["predictions"]] == ["one.jpg", "three.jpg"]
    assert all(isinstance(one["answered"], bool) for one in answer.json()["predictions"])
    (bad,) = answer.json()["unreadable"]
    assert bad["path"] == "cut.jpg" and "truncated" in bad["reason"]
    many = live.client.post("/predict/digits", files=[("a", (f"{index}.jpg", content)) for index in range(9)])
    assert many.status_code == 400 and "8" in many.json()["error"]


def bomb(width: int, height: int) -> bytes:
    """A PNG that says to have so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


GOOD, HEADERS = binary_request(np.zeros((1, 16, 16, 1), np.uint8))
MANY, MANY_HEADERS = binary_request(np.zeros((9, 16, 16, 1), np.uint8))
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


BAD_REQUESTS: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("/v2/models/dogs/infer", GOOD, HEADERS, 404, "served are digits, cats"),
    ("/v2/models/cats/versions/3/infer", GOOD, HEADERS, 404, "served are 1, 2"),
    ("/v2/models/di%00gits/infer", GOOD, HEADERS, 404, "no model of this name"),
    ("/v2/models/..%2f..%2fetc/infer", GOOD, HEADERS, 404, ""),
    ("/v2/models/digits", b"", {}, 405, "POST at this address"),
    ("/nowhere", b"", {}, 404, "Not Found"),
    (INFER, b"", {}, 400, "is not JSON"),
    (INFER, b"[" * 100_000, {}, 400, "nested deeper"),
    (INFER, GOOD, {}, 400, "is not JSON"),
    (INFER, GOOD, {"Inference-Header-Content-Length": "99999"}, 400, "the body has"),
    (INFER, GOOD, {"Inference-Header-Content-Length": "-3"}, 400, "must be the length of the JSON"),
    (INFER, GOOD[:-5], HEADERS, 400, "image needs 256"),
    (INFER, MANY, MANY_HEADERS, 400, "a request may have 8 images"),
    (INFER, b"x" * (2 << 20), {}, 413, "1,048,576 are the most"),
    (INFER, GOOD, {**HEADERS, "Content-Encoding": "gzip"}, 415, "send the body as it is"),
    ("/predict", b"x", {}, 404, "several models are served"),
    ("/predict/dogs", b"x", {}, 404, "served are digits, cats"),
    ("/predict/digits", b"", {}, 400, "the file is empty"),
    ("/predict/digits", b"GIF89a", {}, 400, "body: "),
    ("/predict/digits", b"%PDF-1.4", {}, 400, "a PDF"),
    ("/predict/digits", b"<svg></svg>", {}, 400, "SVG"),
    ("/predict/digits", bomb(60_000, 60_000), {}, 400, "more pixels than the limit"),
    ("/predict/digits", bomb(6_000, 6_000), {}, 400, "are more than the limit of 1,000,000"),
    ("/predict/digits", bomb(900, 900), {}, 400, "truncated"),
    ("/predict/digits?top=0", b"x", {}, 400, "top is '0'"),
    ("/predict/digits?top=9e9", b"x", {}, 400, "top is '9e9'"),
    ("/predict/digits?best=3", b"x", {}, 400, "the address asks for 'best'"),
    ("/predict/digits?max_error=0.000001", b"x", {}, 400, "cannot be promised"),
    ("/predict/digits?max_error=2", b"x", {}, 400, "2% if per cent"),
    ("/predict/digits", b"--y\r\n", FORM, 400, "the form"),
    ("/predict/digits", b"--x--\r\n", FORM, 400, "the form has no files"),
    ("/predict/digits", b"\0" * 5000, FORM, 400, "the form"),
    ("/predict/digits", b"x", {"Content-Type": "multipart/form-data"}, 400, "the form"),
]


@pytest.mark.parametrize(("path", "body", "headers", "status", "fault"), BAD_REQUESTS)
def test_a_bad_request_is_a_line_and_the_server_lives(
    live: Live, path: str, body: bytes, headers: dict[str, str], status: int, fault: str
) -> None:
    with contextlib.suppress(httpx.WriteError):
        answer = live.client.post(path, content=body, headers=headers)
        assert answer.status_code == status, answer.text
        jsonschema.validate(answer.json(), RULES["fault"])
        assert fault in answer.json()["error"] and "\n" not in answer.json()["error"]
    assert live.lives()


def test_the_page_on_serving_has_each_status_that_a_fault_has() -> None:
    page = (PAGE.parent / "serving.md").read_text("utf-8").partition("## What it takes at most")[2].partition("##")[0]
    documented = set(map(int, re.findall(r"^[|].*[|] (\d{3}) [|].*[|]$", page, re.M)))
    assert documented == {status for _, _, _, status, _ in BAD_REQUESTS} | {401, 408, 500, 503}


def test_the_first_address_lists_what_is_served(live: Live) -> None:
    found = live.client.get("/").json()
    hold(found, "GET /")
    assert [(one["name"], one["version"]) for one in found["models"]] == [("digits", "1"), ("cats", "1"), ("cats", "2")]
    for one in found["models"]:
        assert live.client.get(one["metadata"]).json()["name"] == one["name"]
        assert live.client.post(one["infer"], content=GOOD, headers=HEADERS).status_code == 200
        assert live.client.post(one["predict"], content=b"x").status_code == 400


def test_a_body_without_a_length_is_cut_off_at_the_limit(live: Live) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # it hangs up while we still send
        answer = live.client.post(INFER, content=endless())
        assert answer.status_code == 413 and "more than 1,048,576 bytes" in answer.json()["error"]
    assert live.lives()


def test_images_that_are_cut_short_anywhere_are_refused_or_answered(live: Live, photos: Path) -> None:
    for name in ("grey.jpg", "small.png", "large.webp", "palette.gif"):
        content = (photos / name).read_bytes()
        for part in range(0, 10):
            answer = live.client.post("/predict/digits", content=content[: len(content) * part // 10])
            assert answer.status_code in (200, 400), answer.text
    assert live.lives()


def damaged_tiff() -> bytes:
    """A TIFF of which libtiff itself complains, on standard error."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "tiff", compression="tiff_lzw")
    content = bytearray(buffer.getvalue())
    content[100:400] = bytes(300)
    return bytes(content)


def test_a_reader_of_the_log_who_stops_stops_no_answer(model: Path) -> None:
    with Live(str(model), heard=False) as live:
        for _ in range(400):  # their lines fill a pipe of 64 KiB
            answer = live.client.post("/predict", content=bytes(10), headers=FORM, timeout=10.0)
            assert answer.status_code == 400
            assert live.client.post("/predict", content=damaged_tiff(), timeout=10.0).status_code in (200, 400)
        assert live.client.post(INFER, content=GOOD, headers=HEADERS, timeout=10.0).status_code == 200
        assert live.stop() == 0


def test_whatever_is_said_is_a_line_of_the_log(model: Path) -> None:
    with Live(str(model), first=CHATTY) as live:
        body, headers = binary_request(some())
        assert live.client.post(INFER, content=body, headers=headers).status_code == 200
        live.client.post("/predict", content=bytes(10), headers=FORM)
        live.client.post("/predict", content=damaged_tiff())
        assert live.stop() == 0
    assert all(line.startswith("{") for line in live.said), live.said
    said = [row["message"] for row in live.log if row["event"] == "warning"]
    for told in ("by a logger", "by print", "past Python"):
        assert any(told in one for one in said)
    assert any("LZW" in one for one in said), "libtiff's own words"


def raw(live: Live) -> socket.socket:
    host, port = live.started["address"].removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60.0)


def everything(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"\x16\x03\x01\x02",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000,
    ],
    ids=["words", "version", "tls", "length", "head"],
)
def test_what_is_no_http_is_refused_in_the_protocol_s_form(live: Live, sent: bytes) -> None:
    with raw(live) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        answer = everything(connection)
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        jsonschema.validate(json.loads(body), RULES["fault"])
    assert live.lives()


def test_a_client_that_leaves_in_the_middle_harms_nobody(live: Live) -> None:
    told, parts = f'"{INFER}"', (10, 200, len(GOOD))
    before = sum(told in line for line in live.said)
    for part in parts:
        head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(GOOD)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        with raw(live) as connection:
            connection.sendall(head.encode() + b"\r\n" + GOOD[:part])
    assert live.lives()
    live.heard(told, before + len(parts))  # the server may see what they sent after they left
    while "budgetnet_requests_in_progress 1.0" not in live.client.get("/metrics").text:  # the one that asks
        pass


def counted(live: Live, name: str, **labels: str) -> float:
    """What the metrics of this name and these labels have together."""
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(live.client.get("/metrics").text)
    return sum(
        one.value
        for family in families
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    )


def test_metrics_are_prometheus_s(live: Live) -> None:
    total = functools.partial(counted, live)
    asked = {"route": "infer", "model": "digits@1", "status": "200"}
    before, batches = total("budgetnet_requests_total", **asked), total("budgetnet_batch_images_sum", model="digits@1")
    for _ in range(3):
        assert live.client.post(INFER, content=GOOD, headers=HEADERS).status_code == 200
    assert total("budgetnet_requests_total", **asked) == before + 3
    assert total("budgetnet_batch_images_sum", model="digits@1") == batches + 3
    live.client.get("/v2/models/never-served")
    page = live.client.get("/metrics").text
    assert "never-served" not in page, "a client cannot add labels"
    names = (
        "budgetnet_request_seconds_bucket",
        "budgetnet_waiting_requests",
        "budgetnet_shed_total",
        "process_resident",
    )
    assert all(name in page for name in names)


def test_metrics_have_the_limits_that_the_server_was_started_with(model: Path) -> None:
    options = ("--batch", "4", "--batch-wait", "3ms", "--queue", "5", "--request-bytes", "2MiB", "--threads", "1")
    more = ("--image-pixels", "1M", "--client-time", "7s", "--stop-time", "20s")
    expected = {
        "compute_threads": 1,
        "limit_batch_images": 4,
        "limit_batch_wait_seconds": 0.003,
        "limit_waiting_requests": 5,
        "limit_request_bytes": 2 << 20,
        "limit_bodies_bytes": 32 << 20,
        "limit_image_pixels": 10**6,
        "limit_client_seconds": 7,
        "limit_stop_seconds": 20,
        "limit_connections": 1000,
    }
    with Live(str(model), *options, *more) as live:
        assert {name: counted(live, f"budgetnet_{name}") for name in expected} == expected
    page = (PAGE.parent / "serving.md").read_text("utf-8")
    assert all(f"`{name.removeprefix('limit_')}`" in page for name in expected)


def test_each_request_is_a_line_of_json(live: Live) -> None:
    before = sum('"/v2/models/once' in line for line in live.said)
    live.client.get("/v2/models/once%1B[31m%0Aforged")
    live.client.post(INFER, content=GOOD, headers=HEADERS)
    live.client.get("/v2/models/once")
    live.heard('"/v2/models/once"', before + 1)
    rows = [row for row in live.log if row["event"] == "request"]
    for row in rows:
        hold(row, "serve --log-format json")
    (forged,) = [row for row in rows if "forged" in row["path"]]
    assert forged["status"] == 404 and "\n" in forged["path"], "escaped, on one line"
    answered = [row for row in rows if row["path"] == INFER and row["status"] == 200][-1]
    assert answered["model"] == "digits@1" and answered["images"] == 1 and answered["batch"] == 1


def test_many_clients_at_once_get_their_own_answers(live: Live, model: Path) -> None:
    images = some(60)
    expected = answerer_of_file(model, "onnx").answer(images)[0]
    faults: list[str] = []

    def ask(start: int) -> None:
        with httpx.Client(base_url=live.started["address"], timeout=60.0, trust_env=False) as client:
            for index in range(start, 60, 6):
                outputs = [{"name": "logits"}]
                body, headers = binary_request(images[index : index + 1], outputs)
                answer = client.post(INFER, content=body, headers=headers)
                while answer.status_code == 503:
                    answer = client.post(INFER, content=body, headers=headers)
                found = answer.json()["outputs"][0]["data"]
                if not np.allclose(found, expected[index], atol=1e-5):
                    faults.append(f"{index}: {answer.text}")

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_slow_clients_are_timed_out(model: Path) -> None:
    with Live(str(model), "--client-time", "300ms") as live:
        for sent in (b"", b"POST /pre", f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123".encode()):
            with raw(live) as connection:
                connection.sendall(sent)
                answer = everything(connection)
            assert answer.startswith(b"HTTP/1.1 408 ") and b"must be sent within 0.3 s" in answer
        assert counted(live, "budgetnet_requests_total", route="infer", status="408") == 1
        assert counted(live, "budgetnet_requests_total", status="499") == 0
        assert counted(live, "budgetnet_connections_ended_total", reason="late") == 2
        late = b"POST /v2/models/dogs/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123"
        with raw(live) as connection:  # answered before it is sent as a whole, and then ended
            connection.sendall(late)
            assert everything(connection).startswith(b"HTTP/1.1 404 ")
        with raw(live) as connection:  # a second request on a connection has its time, too
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /v2/heal")
            answer = everything(connection)
            assert answer.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 408 " in answer
        assert live.lives()
        assert live.stop() == 0


def test_who_is_turned_away_at_the_connection_is_counted_and_logged(model: Path) -> None:
    fewer = "import budgetnet.serve.connection as one; one.CONNECTIONS = 3"
    chunk = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n".encode()
    with Live(str(model), "--client-time", "400ms", first=fewer) as live:
        for sent in (b"nonsense\r\n\r\n", chunk, b""):
            with raw(live) as connection:
                connection.sendall(sent)
                everything(connection)
        with contextlib.ExitStack() as stack:
            answers = [stack.enter_context(raw(live)) for _ in range(4)]
            assert everything(answers[-1]).startswith(b"HTTP/1.1 503 ")
            for one in answers:
                everything(one)
        for reason, count in {"no_http": 1, "full": 1, "late": 4}.items():
            assert counted(live, "budgetnet_connections_ended_total", reason=reason) == count, reason
        assert counted(live, "budgetnet_requests_total", route="infer", status="400") == 1
        assert live.stop() == 0
    rows = [row for row in live.log if row["event"] == "connection"]
    assert [(row["reason"], row["status"]) for row in rows[:3]] == [("no_http", 400), ("late", 408), ("full", 503)]
    assert all(row["client"] == "127.0.0.1" and row["fault"] for row in rows)
    (broken,) = [row for row in live.log if row["event"] == "request" and row["path"] == INFER]
    hold(broken, "serve --log-format json")
    assert broken["status"] == 400 and "no HTTP request" in broken["fault"]


def test_a_client_that_takes_no_answer_is_cut_off_and_counted(model: Path) -> None:
    with Live(str(model), "--client-time", "300ms") as live:
        with raw(live) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 1500)
            live.heard('"unread"')
        assert counted(live, "budgetnet_connections_ended_total", reason="unread") == 1
        assert live.lives()


def test_bodies_that_have_no_room_are_turned_away_and_counted(model: Path) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n".encode()
    with Live(str(model), "--request-bytes", "1KiB") as live, contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(raw(live)).sendall(head + bytes(1023))
        while counted(live, "budgetnet_requests_in_progress") < 17:  # the one that asks, too
            pass
        with raw(live) as connection:
            connection.sendall(head + bytes(1023))
            assert everything(connection).startswith(b"HTTP/1.1 503 ")
        assert counted(live, "budgetnet_shed_total", reason="memory") == 1


def test_a_token_is_asked_for(model: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with Live(str(model), "--token-file", str(tmp_path / "token"), "--host", "0.0.0.0") as live:
        base = live.started["address"].replace("0.0.0.0", "127.0.0.1")
        with httpx.Client(base_url=base, trust_env=False) as client:
            assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
                for path in ("/", "/v2", "/metrics", "/v2/models/digits", "/v2/models/digits/ready"):
                    answer = client.get(path, headers=headers)
                    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
                    jsonschema.validate(answer.json(), RULES["fault"])
                assert client.post(INFER, content=GOOD, headers=headers).status_code == 401
            shown = {"Authorization": f"Bearer {TOKEN}"}
            assert client.get("/v2", headers=shown).status_code == 200
            assert client.post(INFER, content=GOOD, headers={**HEADERS, **shown}).status_code == 200
        assert TOKEN not in "".join(live.said)


def test_asked_to_stop_it_answers_what_it_has_taken(model: Path) -> None:
    with Live(str(model), "--batch", "1", "--threads", "1", first=BLOCKED) as live:
        body, headers = binary_request(some())
        answers: list[httpx.Response] = []

        def ask() -> None:
            with httpx.Client(base_url=live.started["address"], timeout=60.0, trust_env=False) as client:
                answers.append(client.post(INFER, content=body, headers=headers))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        live.heard("computing")
        while "budgetnet_requests_in_progress 4.0" not in live.client.get("/metrics").text:
            pass
        live.process.terminate()
        live.heard("stopping")
        ready = live.client.get("/v2/health/ready")
        assert ready.status_code == 503 and ready.json()["ready"] is False
        assert live.client.get("/v2/models/digits/ready").status_code == 503
        assert live.client.get("/v2/health/live").status_code == 200
        refused = live.client.post(INFER, content=body, headers=headers)
        assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
        assert "about to stop" in refused.json()["error"] and refused.headers["connection"] == "close"
        for _ in threads:
            live.release()
        for thread in threads:
            thread.join()
        assert [one.status_code for one in answers] == [200, 200, 200]
        assert live.process.wait(timeout=60.0) == 0


def test_too_many_are_turned_away_and_all_others_answered(model: Path) -> None:
    with Live(str(model), "--batch", "1", "--threads", "1", "--queue", "2", first=BLOCKED) as live:
        body, headers = binary_request(some())
        answers: list[httpx.Response] = []

        def ask() -> None:
            with httpx.Client(base_url=live.started["address"], timeout=60.0, trust_env=False) as client:
                answers.append(client.post(INFER, content=body, headers=headers))

        first = threading.Thread(target=ask)
        first.start()
        live.heard("computing")  # the one thread is busy: two may wait
        others = [threading.Thread(target=ask) for _ in range(6)]
        for thread in others:
            thread.start()
        while len(answers) < 4:
            assert live.client.get("/v2/health/ready").status_code == 200, "a full line is no reason to be not ready"
        for answer in answers:
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            jsonschema.validate(answer.json(), RULES["fault"])
        page = live.client.get("/metrics").text
        assert 'budgetnet_shed_total{model="digits@1",reason="full"} 4.0' in page
        assert 'budgetnet_waiting_requests{model="digits@1"} 2.0' in page
        for _ in range(3):
            live.release()
        for thread in (first, *others):
            thread.join()
        assert sorted(one.status_code for one in answers) == [200] * 3 + [503] * 4


def test_a_run_is_served_and_torch_is_not_loaded(run: Path, photos: Path) -> None:
    told = "import atexit; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr, flush=True))"
    with Live(f"mine@7={run}", first=told) as live:
        (row,) = live.started["models"]
        hold(live.started, "serve --json")
        assert (row["name"], row["version"], row["platform"], row["dtype"]) == ("mine", "7", "onnx_onnxv1", "float32")
        file = photos / "grey.jpg"
        answer = live.client.post("/predict", content=file.read_bytes()).json()
        (expected,) = budgetnet.predict(run, file)
        assert isinstance(expected, Prediction)
        assert answer["predictions"][0]["probability"] == pytest.approx(expected.probability, abs=1e-4)
        assert answer["model_version"] == "7"
        assert live.stop() == 0
        live.heard("False")


@pytest.mark.slow
@pytest.mark.parametrize("to", ["tflite", "openvino"])
def test_other_formats_are_served_by_their_runtimes(to: Any, run: Path, tmp_path: Path, photos: Path) -> None:
    pytest.importorskip({"tflite": "ai_edge_litert", "openvino": "openvino"}[to], reason="it is not installed")
    (file,) = budgetnet.export(run, to=to, force=True).files
    with Live(f"mine={file.file}", "--threads", "2") as live:
        for photo in sorted(photos.iterdir()):
            (expected,) = budgetnet.predict(file.file, photo)
            (one,) = live.client.post("/predict", content=photo.read_bytes()).json()["predictions"]
            assert isinstance(expected, Prediction) and one["label"] == expected.label
            assert one["probability"] == pytest.approx(expected.probability, abs=1e-6)
        assert live.stop() == 0


@pytest.mark.slow
def test_a_file_of_probabilities_gives_no_logits(run: Path, tmp_path: Path) -> None:
    (file,) = budgetnet.export(run, to="onnx", out=tmp_path / "shares.onnx", softmax=True, force=True).files
    with Live(file.file) as live:
        row = live.client.get("/v2/models/shares").json()
        assert [one["name"] for one in row["outputs"]] == ["probabilities"]
        body, headers = binary_request(some(2))
        (output,) = live.client.post("/v2/models/shares/infer", content=body, headers=headers).json()["outputs"]
        assert np.reshape(output["data"], (2, 10)).sum(1) == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere.onnx"], "there is no file nowhere.onnx"),
        (["{model}", "{model}"], "are both called digits; give names, as digits-2="),
        (["a b={model}"], "'a b' cannot stand in an address"),
        (["a/b={model}"], "'a/b' cannot stand in an address"),
        (["{model}", "--host", "0.0.0.0"], "give --token-file FILE or BUDGETNET_TOKEN, or --to-anyone"),
        (["{model}", "--threads", "4096"], "more threads than cores are slower"),
        (["{model}", "--batch", "0"], "batch is 0"),
        (["{model}", "--port", "70000"], "port is 70000"),
        (["{model}", "--port", "{taken}"], "cannot listen at 127.0.0.1, port {taken}: address already in use"),
        (["{model}", "--host", "300.1.1.1", "--to-anyone"], "cannot listen at 300.1.1.1"),
        (["{model}", "--token-file", "{short}"], "must hold one word of 16 printable ASCII signs or more"),
        (["{model}", "--token-file", "nowhere"], "cannot read nowhere"),
        (["name="], "names no file"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    arguments: list[str], line: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        known = {"model": model, "taken": taken.getsockname()[1], "short": tmp_path / "short"}
        assert main(["serve", *(word.format(**known) for word in arguments)]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and line.format(**known) in said.err


def test_a_damaged_file_is_one_line(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.onnx").write_bytes(model.read_bytes()[:-2000])
    assert main(["serve", str(tmp_path / "cut.onnx"), "--port", "0"]) == 2
    assert re.fullmatch(r"budgetnet: .*cut.onnx.*\n", capsys.readouterr().err)


def test_killed_while_a_run_becomes_a_file_it_says_nothing(run: Path) -> None:
    program = (
        "import os, signal, sys; from budgetnet.parallel.workers import Workers; from budgetnet.cli import main; "
        "Workers.run = lambda *given: os.kill(os.getpid(), signal.SIGTERM); "
        f"sys.exit(main(['serve', {str(run)!r}, '--port', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_without_the_extra_it_says_how_to_install_it(model: Path) -> None:
    program = (
        "import sys; sys.modules['uvicorn'] = None; import importlib.util as util; find = util.find_spec; "
        "util.find_spec = lambda name: None if name == 'uvicorn' else find(name); "
        f"from budgetnet.cli import main; sys.exit(main(['serve', {str(model)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "budgetnet: serve needs uvicorn; pip install 'budgetnet[serve]'\n"


def test_a_picture_that_was_sent_is_decoded_without_a_file(photos: Path) -> None:
    from budgetnet.data.decode import decode_noted

    for file in photos.iterdir():
        for channels in (1, 3):
            found, note = decode_noted(file.read_bytes(), channels, 64)
            expected, other = decode_noted(file, channels, 64)
            np.testing.assert_array_equal(found, expected)
            assert note == other
    buffer = io.BytesIO()
    Image.new("L", (1000, 1001)).save(buffer, "png")
    with pytest.raises(ValueError, match="the image: 1,000 x 1,001 pixels are more than the limit of 1,000,000"):
        decode_noted(buffer.getvalue(), 1, most_pixels=1_000_000)
