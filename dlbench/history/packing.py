"""Records as they lie in a file: how a case ended in plain sight, what is long packed into texts.

A file of pytest-benchmark's is indented, a number a line. Sixteen seeds of a hundred cases would take
megabytes so, three quarters of them spaces. Packed, a record keeps `outcome` and `message` as they are;
its environment and its digests, which most records share, stand once in our part of the document;
and three texts hold the rest:

* `numbers`: outcome, what tells the record from others, seeds, digests of the initial weights and
  metrics, as JSON, deflated against `KNOWN` (RFC 1950), in base64. Metrics keep nine digits, with which
  a float32 is exact. These texts stand together, a line each, at the very end of the file, and the
  record has the number of its line: a history of a thousand files reads only their ends
  (`dlbench.history.ending`). In schema 2 each stood in its record;
* `packed`: everything else but the curves, the same, deflated against the file's `dictionary`: what
  one record holds stands in most others too;
* `curves`: all curves one after the other, deflated, in base 85, a twentieth shorter than base64. A
  curve is its float32 numbers, first the lowest bytes of all, then the next (neighbours resemble
  each other so). An accuracy is k of n samples: where that gives every number to the last bit, the
  k are kept, two bytes each.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.errors import RecordError
from dlbench.history.parsing import loads_exact
from dlbench.history.record import KEY, SCHEMA
from dlbench.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Parse: TypeAlias = Callable[[bytes], Any]

IN_SIGHT = ("outcome", "message")
"""The fields that stay readable."""

TOLD = ("kind", "name", "bounds", "environment")
"""The other fields that a history shows."""

DIGESTS = ("starts", "orders")
"""Of what each seed began with: the same in all cases of a workload."""

THEIRS = ("datetime", "commit_info")
"""What pytest-benchmark says of the whole run, of which a copy stands at the end."""

KNOWN = (
    b'"oscillation":[0.0,1.0,"final_accuracy":["final_loss":["stalled","diverged","slow","converged",'
    b'"converged","experiment":"","parameters":,"step_seconds":0.00,{"kind":"parameters","name":null,'
    b'"bounds":"off","environment":0,"metrics":null,{"kind":"convergence","name":null,"bounds":"enforced"'
    b',"environment":0,"seeds":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"starts":["","metrics":{"regime":['
    b'"converged","converged","converged"],"mean_log_loss":[-0.0,"final_loss":[0.0,"final_val_loss":[0.0,'
    b'"final_val_accuracy":[0.9,"final_accuracy":[0.9,"steps_to_target":[null,null,null,'
)
"""What `numbers` are deflated against; part of schemas 2 and 3, and never to be changed."""

MOST_TEXT, MOST_CURVES = 64 * 2**20, 256 * 2**20
"""Bytes of one record once it is unpacked; a file that holds more is not believed."""

EXCERPT, EXCERPTS = 3000, 9
"""The dictionary: the beginnings, in bytes, of so many records, spread over the file."""

DIGITS = 9
MOST_COUNTED = 2**16 - 1


def pack(document: dict[str, Any]) -> None:
    """Pack the records of a document in place; what the tests themselves hold stays as it is.

    Args:
        document: pytest-benchmark's, or `Run.to_document()`, with our header in it.
    """
    environments: list[Any] = []
    digests: list[str] = []
    numbers: dict[str, str] = {}
    found: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for benchmark in document["benchmarks"]:
        ours = benchmark.get("extra_info", {}).get(KEY)
        if ours and not any("packed" in record for record in ours["records"]):
            stored = [_stored(record, environments, digests) for record in ours["records"]]
            found.append((benchmark, stored))
    dictionary = _dictionary([one["packed"] for _, parts in found for one in parts])
    for benchmark, parts in found:
        for one in parts:
            one["packed"] = _base64(_deflated(one["packed"], dictionary))
            numbers[f"{len(numbers)} {benchmark.get('fullname')}"] = one["numbers"]
            one["numbers"] = len(numbers) - 1
        extra = benchmark["extra_info"] | {KEY: {"schema": SCHEMA, "records": parts}}
        benchmark["extra_info"] = extra
    ours = document.pop(KEY)
    document[KEY] = {
        **{name: value for name, value in ours.items() if name not in {"schema", "session"}},
        "dictionary": _base64(zlib.compress(dictionary, 9)),
        # What a history needs stands last: see `dlbench.history.ending`.
        "schema": SCHEMA,
        "session": ours.get("session"),
        **{name: document.get(name) for name in THEIRS},
        "environments": environments,
        "digests": digests,
        "numbers": numbers,
    }


def by_place(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document's header with the texts of `numbers` by their place alone, as `unpack` asks."""
    numbers = header.get("numbers")
    if not isinstance(numbers, dict):
        return dict(header)
    return {**header, "numbers": {key.partition(" ")[0]: text for key, text in numbers.items()}}


def unpack(stored: object, header: Mapping[str, Any], dictionary: bytes) -> object:
    """Return the record that was packed; anything that was not is returned as it is.

    Args:
        stored: one item of a case's `records`.
        header: what `by_place` made of what dlbench put into the document.
        dictionary: what `dictionary_of` returned for it.

    Raises:
        RecordError: the texts are damaged, or larger than is believed.
    """
    if not isinstance(stored, dict) or "packed" not in stored:
        return stored
    record = _json(_inflated(_bytes(stored["packed"]), dictionary, MOST_TEXT))
    numbers = unpacked_numbers(_text_of(stored, header))
    record |= {name: stored.get(name) for name in IN_SIGHT}
    record |= {name: numbers.get(name) for name in TOLD}
    record["environment"] = environment_of(numbers, header)
    if "metrics" in numbers:
        record["metrics"] = numbers["metrics"]
    runs = record.get("runs")
    if isinstance(runs, dict):
        runs |= {name: numbers[name] for name in ("seeds", "starts") if name in numbers}
        runs |= {name: digests_of(runs[name], header) for name in DIGESTS if name in runs}
        if "curves" in stored:
            runs["curves"] = _curves(stored["curves"], runs.get("curves"))
    return record


def unpacked_numbers(text: object, parse: Parse = loads_exact) -> dict[str, Any]:
    """Return what a packed record's `numbers` hold.

    They are `outcome`, the fields `TOLD`, `seeds`, `starts` and `metrics`, and what `summary_of` adds.

    Raises:
        RecordError: the text is damaged.
    """
    return _json(_inflated(_bytes(text), KNOWN, MOST_TEXT), parse)


def environment_of(numbers: Mapping[str, Any], header: Mapping[str, Any]) -> Any:
    """Return a packed record's environment, which stands at the top of its document.

    Raises:
        RecordError: it does not.
    """
    place, known = numbers.get("environment"), header.get("environments")
    if type(place) is not int or not isinstance(known, list) or not 0 <= place < len(known):
        raise RecordError("a packed record's environment is not in its file")
    return known[place]


def digests_of(value: object, header: Mapping[str, Any]) -> object:
    """Return a record's digests: most records share theirs, which stand once in the document.

    Raises:
        RecordError: they do not.
    """
    if not isinstance(value, dict):
        return value
    place, known = value.get("digests"), header.get("digests")
    text = None
    if isinstance(known, list) and type(place) is int and 0 <= place < len(known):
        text = known[place]
    if not isinstance(text, str):
        raise RecordError("a packed record's digests are not in its file")
    return list(_apart_at_spaces(text))


@lru_cache(4096)
def _apart_at_spaces(text: str) -> tuple[str, ...]:
    """Return the digests in a text; the runs of a history share theirs, and so the same objects."""
    return tuple(text.split(" "))


def dictionary_of(header: Mapping[str, Any]) -> bytes:
    """Return what a document's records were packed against; empty where they are not packed.

    Raises:
        RecordError: it is no such text.
    """
    text = header.get("dictionary")
    return b"" if text is None else _inflated(_bytes(text), b"", MOST_TEXT)


def _stored(
    record: Mapping[str, Any], environments: list[Any], digests: list[str]
) -> dict[str, Any]:
    """Return a record as it is stored, but for `packed`, which is not deflated yet."""
    plain: Any = to_plain(record)
    if plain["environment"] not in environments:
        environments.append(plain["environment"])
    stored: dict[str, Any] = {name: plain.pop(name) for name in IN_SIGHT}
    plain["environment"] = environments.index(plain["environment"])
    numbers: dict[str, Any] = {name: plain.pop(name) for name in TOLD}
    numbers["outcome"] = stored["outcome"]
    runs = plain["runs"] or {}
    if isinstance(runs, dict):
        runs |= {name: _once(runs[name], digests) for name in DIGESTS if name in runs}
    numbers |= {name: runs.pop(name) for name in ("seeds", "starts") if name in runs}
    metrics = plain.pop("metrics")
    numbers["metrics"] = metrics and {name: _rounded(values) for name, values in metrics.items()}
    numbers |= summary_of(plain)
    stored["numbers"] = _base64(_deflated(_text(numbers), KNOWN))
    curves = _raw_curves(runs)
    if curves:
        sizes = _sample_counts(runs)
        packed = {name: _narrowed(values, sizes) for name, values in curves.items()}
        runs["curves"] = {name: [values.size, of] for name, (values, of) in packed.items()}
        content = b"".join(_apart(values) for values, _ in packed.values())
        stored["curves"] = base64.b85encode(zlib.compress(content, 9)).decode("ascii")
    stored["packed"] = _text(plain)
    return stored


def _once(values: Any, digests: list[str]) -> Any:
    """Return where digests stand among those of the document; anything else as it is."""
    if not isinstance(values, list) or not values:
        return values
    if not all(isinstance(one, str) and one and " " not in one for one in values):
        return values
    text = " ".join(values)
    if text not in digests:
        digests.append(text)
    return {"digests": digests.index(text)}


def _text_of(stored: Mapping[str, Any], header: Mapping[str, Any]) -> object:
    """Return the text of a record's numbers: at the end of the file, in schema 2 in the record."""
    place, texts = stored.get("numbers"), header.get("numbers")
    if type(place) is not int:
        return place
    if not isinstance(texts, dict) or str(place) not in texts:
        raise RecordError("a packed record's numbers are not in its file")
    return texts[str(place)]


def summary_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a history shows beside the metrics: experiment's id, a step's time, parameters."""
    runs, table, timing = (record.get(name) for name in ("runs", "parameters", "timing"))
    experiment = runs.get("experiment") if isinstance(runs, dict) else None
    found = {
        "experiment": experiment.get("id") if isinstance(experiment, dict) else None,
        "step_seconds": timing.get("seconds") if isinstance(timing, dict) else None,
        "parameters": table.get("unique") if isinstance(table, dict) else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _rounded(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    return [float(f"{one:.{DIGITS}g}") if isinstance(one, float) else one for one in values]


def _raw_curves(runs: Mapping[str, Any]) -> dict[str, Array]:
    """Return the numbers of every curve; none at all where they are not what `Runs` writes."""
    texts = runs.get("curves")
    if not isinstance(texts, dict):
        return {}
    raw = {}
    for name, text in texts.items():
        try:
            raw[name] = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
        except (TypeError, ValueError):
            return {}
        if _base64(raw[name].tobytes()) != text:
            return {}
    return raw


def _sample_counts(runs: Mapping[str, Any]) -> list[int]:
    """Return how many samples the runs were trained and measured on, where they tell."""
    experiment = runs.get("experiment")
    data = experiment.get("data") if isinstance(experiment, dict) else None
    known = data.values() if isinstance(data, dict) else ()
    return [size for size in known if type(size) is int and 1 < size <= MOST_COUNTED]


def _narrowed(values: Array, sizes: Sequence[int]) -> tuple[Array, int | None]:
    """Return values as counts of one of these numbers of samples, if they are; else as they are."""
    if values.size and values.min() >= 0 and values.max() <= 1:
        for size in sizes:
            counts = np.rint(values.astype(float) * size).astype("<u2")
            if _shares(counts, size).tobytes() == values.tobytes():
                return counts, size
    return values, None


def _shares(counts: Array, size: int) -> Array:
    return (counts / size).astype("<f4")


def _apart(values: Array) -> bytes:
    return values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def _curves(text: object, forms: object) -> dict[str, str]:
    """Return the curves as `Runs` writes them, from what is packed."""
    if not isinstance(text, str) or not isinstance(forms, dict):
        raise RecordError("packed curves are damaged: their lengths are missing")
    try:
        content = _inflated(base64.b85decode(text), b"", MOST_CURVES)
    except ValueError as error:
        raise RecordError(f"packed curves are damaged: {error}") from error
    curves, start = {}, 0
    for name, form in forms.items():
        match form:
            case [int(size), None]:
                kind, of = "<f4", None
            case [int(size), int(of)] if 0 < of <= MOST_COUNTED:
                kind = "<u2"
            case _:
                raise RecordError("packed curves are damaged: a length is missing")
        width = np.dtype(kind).itemsize
        end = start + size * width
        if not start <= end <= len(content):
            raise RecordError(f"packed curves are damaged: {len(content)} bytes, expected {end}")
        apart = np.frombuffer(content[start:end], np.uint8).reshape(width, size)
        values = np.ascontiguousarray(apart.T).reshape(-1).view(kind)
        curves[name] = _base64((values if of is None else _shares(values, of)).tobytes())
        start = end
    return curves


def _dictionary(texts: Sequence[bytes]) -> bytes:
    """Return the beginnings of some records, spread over the file."""
    step = max(1, len(texts) // EXCERPTS)
    return b"".join(text[:EXCERPT] for text in texts[::step][:EXCERPTS])


def _text(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _json(text: bytes, parse: Parse = loads_exact) -> dict[str, Any]:
    try:
        value = parse(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"a packed record is damaged: {error}") from error
    if not isinstance(value, dict):
        raise RecordError(f"a packed record is {type(value).__name__}, expected dict")
    return value


def _deflated(content: bytes, dictionary: bytes) -> bytes:
    deflate = zlib.compressobj(9, zdict=dictionary) if dictionary else zlib.compressobj(9)
    return deflate.compress(content) + deflate.flush()


def _inflated(content: bytes, dictionary: bytes, most: int) -> bytes:
    """Return what was deflated, up to `most` bytes: a small text can stand for gigabytes."""
    inflate = zlib.decompressobj(zdict=dictionary) if dictionary else zlib.decompressobj()
    try:
        plain = inflate.decompress(content, most)
    except zlib.error as error:
        raise RecordError(f"a packed text is damaged: {error}") from error
    if inflate.unconsumed_tail:
        raise RecordError(f"a packed text holds more than {most // 2**20} MiB")
    if not inflate.eof:
        raise RecordError("a packed text is cut off")
    return plain


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: object) -> bytes:
    if not isinstance(text, (str, bytes)):
        raise RecordError(f"a packed text is {type(text).__name__}, expected str")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise RecordError(f"a packed text is damaged: {error}") from error
