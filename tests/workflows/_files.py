"""Small files as cameras write them, where rosettasciio can read but not write."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_mib(path: Path, patterns: np.ndarray) -> None:
    """A Merlin camera's .mib with its .hdr: big endian, each frame under a header of 384 bytes.

    Patterns (scan y, scan x, ky, kx) of unsigned integers. Rows run upwards in the file.
    """
    rows, columns = patterns.shape[:2]
    kind = f"U{8 * patterns.dtype.itemsize:02d}"
    depth = {1: 6, 2: 12, 4: 24}[patterns.dtype.itemsize]
    ky, kx = patterns.shape[2:]
    with path.open("wb") as file:
        for n, frame in enumerate(patterns.reshape(-1, ky, kx), start=1):
            header = (
                f"MQ1,{n:06d},00384,01,{kx:04d},{ky:04d},{kind},   1x1,01,"
                f"2026-01-01 12:00:00.000,0.001,0,0,0,1.2E+2,5.11E+2,0,0,"
                f"MQ1A,2026-01-01T12:00:{n // 1000:02d}.{n % 1000:03d}000000Z,1000000ns,{depth},"
            )
            file.write(header.encode().ljust(384))
            file.write(frame[::-1].astype(frame.dtype.newbyteorder(">")).tobytes())
    path.with_suffix(".hdr").write_text(
        "HDR,\t\n"
        f"Frames in Acquisition (Number):\t{rows * columns}\n"
        f"Frames per Trigger (Number):\t{columns}\n"
        "End\t\n"
    )


def write_empad(path: Path, patterns: np.ndarray) -> None:
    """An EMPAD's .xml and .raw: 128 x 128 px of float32 with two further rows under each."""
    rows, columns, ky, kx = patterns.shape
    assert (ky, kx) == (128, 128)
    frames = np.zeros((rows, columns, 130, 128), dtype="<f4")
    frames[..., :128, :] = patterns
    frames[..., 128:, :] = 12345.0
    raw = f"scan_x{columns}_y{rows}.raw"
    frames.tofile(path.with_name(raw))
    path.write_text(
        f'<?xml version="1.0"?>\n<root><raw_file filename="{raw}"/>'
        f"<pix_x>{columns}</pix_x><pix_y>{rows}</pix_y>"
        '<timestamp isoformat="2026-01-01T12:00:00.000000+00:00"/>'
        "<iom_measurements><calibrated_pixelsize>1.0e-10</calibrated_pixelsize>"
        "<optics><get_full_scan_field_of_view>(2e-08, 1.5e-08)</get_full_scan_field_of_view>"
        "</optics></iom_measurements></root>\n"
    )


def write_mrc(path: Path, patterns: np.ndarray) -> None:
    """An MRC stack of uint16: a header of 1024 bytes, then one pattern after the other."""
    ky, kx = patterns.shape[-2:]
    frames = patterns.reshape(-1, ky, kx)
    words = np.zeros(256, dtype="<i4")
    words[:4] = kx, ky, len(frames), 6  # mode 6: unsigned 16 bit
    words[7:10] = kx, ky, len(frames)
    words[10:13] = np.array([kx, ky, len(frames)], dtype="<f4").view("<i4")
    words[16:19] = 1, 2, 3
    words[52:54] = np.frombuffer(b"MAP DD\0\0", dtype="<i4")
    path.write_bytes(words.tobytes() + frames.astype("<u2").tobytes())


def write_dm4(path: Path, data: np.ndarray, scales, offsets, units) -> None:
    """A Digital Micrograph file, version 4, of uint16; calibrations in the order of the axes."""
    calibrations = [
        _group(
            [
                ("Origin", _number("f4", -offset / scale)),
                ("Scale", _number("f4", scale)),
                ("Units", _text(unit)),
            ]
        )
        for scale, offset, unit in zip(scales, offsets, units, strict=True)
    ][::-1]
    brightness = _group(
        [("Origin", _number("f4", 0)), ("Scale", _number("f4", 1)), ("Units", _text(""))]
    )
    image = _group(
        [
            (
                "ImageData",
                _group(
                    [
                        (
                            "Calibrations",
                            _group(
                                [
                                    ("Brightness", brightness),
                                    ("Dimension", _group([("", c) for c in calibrations])),
                                ]
                            ),
                        ),
                        ("Data", _array(data.astype("<u2"))),
                        ("DataType", _number("u4", 10)),  # uint16
                        (
                            "Dimensions",
                            _group([("", _number("u4", n)) for n in data.shape[::-1]]),
                        ),
                        ("PixelDepth", _number("u4", 2)),
                    ]
                ),
            ),
            ("ImageTags", _group([])),
            ("Name", _text("scan")),
        ]
    )
    root = _tags([("ImageList", _group([("", image)]))])
    path.write_bytes(struct.pack(">iqi", 4, len(root), 1) + root)


_CODES = {"u2": 4, "u4": 5, "f4": 6}


def _number(kind: str, value: float) -> tuple[int, bytes]:
    return 21, _info(_CODES[kind]) + np.array(value, dtype=f"<{kind}").tobytes()


def _array(data: np.ndarray) -> tuple[int, bytes]:
    return 21, _info(20, _CODES[data.dtype.str[1:]], data.size) + data.tobytes()


def _text(text: str) -> tuple[int, bytes]:
    return _array(np.frombuffer(text.encode("utf-16-le"), dtype="<u2"))


def _info(*numbers: int) -> bytes:
    return b"%%%%" + struct.pack(f">{len(numbers) + 1}q", len(numbers), *numbers)


def _group(tags) -> tuple[int, bytes]:
    content = _tags(tags)
    return 20, content[:2] + struct.pack(">q", len(content)) + content[2:]


def _tags(tags) -> bytes:
    parts = [struct.pack(">bbq", 1, 0, len(tags))]
    for name, (kind, content) in tags:
        parts.append(struct.pack(">bh", kind, len(name)) + name.encode())
        if kind == 21:
            parts.append(struct.pack(">q", len(content)))
        parts.append(content)
    return b"".join(parts)
