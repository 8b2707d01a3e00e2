"""Separate program, standard library only: speaks utterances with espeak-ng, each in
a fresh process.

Run as ``python -I -S voice_process.py LIBRARY DATA``. Reads one JSON request per line,
``{"text", "voice", "rate", "pitch", "range"}``; for each writes a line of JSON
(``rate``, ``samples``, ``events``: ``[[seconds, phoneme], ...]``) followed by the
samples as 16-bit PCM. espeak-ng keeps state between calls, so that a second call in one
process gives other samples than the first; hence a fork that has not spoken yet serves
each request.
"""

import ctypes
import json
import os
import sys

RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4  # espeak_PARAMETER
SYNCHRONOUS, PHONEME_EVENTS, UTF8, PHONEME = 2, 1, 1, 7


class Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", Id),
    )


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


def speak(library, data, request):
    """Samples as bytes, their rate, phoneme events."""
    parts, events = [], []

    def receive(samples, count, event):
        if count > 0 and samples:
            parts.append(ctypes.string_at(samples, 2 * count))
        k = 0
        while event[k].type != 0:
            if event[k].type == PHONEME:
                events.append([event[k].audio_position / 1000, event[k].id.string.decode("utf-8", "replace")])
            k += 1
        return 0

    callback = CALLBACK(receive)
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), PHONEME_EVENTS)
    if rate <= 0:
        raise RuntimeError("espeak_Initialize failed")
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise RuntimeError("no such voice: " + request["voice"])
    for name, value in (
        (RATE, request["rate"]),
        (PITCH, request["pitch"]),
        (RANGE, request["range"]),
        (VOLUME, 100),
    ):
        library.espeak_SetParameter(name, int(value), 0)
    text = request["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return b"".join(parts), rate, events


def answer(library, data, request):
    """Serve one request in this (forked) process."""
    try:
        samples, rate, events = speak(library, data, request)
        header = {"rate": rate, "samples": len(samples) // 2, "events": events}
    except Exception as error:
        samples, header = b"", {"error": str(error)}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + samples)
    sys.stdout.buffer.flush()


def main():
    library, data = ctypes.CDLL(sys.argv[1]), sys.argv[2]
    library.espeak_Initialize.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    library.espeak_Synth.argtypes = (
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p
    )  # fmt: skip
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answer(library, data, json.loads(line))
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
