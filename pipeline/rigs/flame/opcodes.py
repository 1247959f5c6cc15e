"""What a pickle would do, looked at before it is loaded: no step may take much memory or time.

A pickle of nine bytes can make its reader allocate gigabytes: by a memo's number, by a length, by
a tuple of tuples whose hash takes for ever. A file of arrays needs none of that.
"""

import pickletools
import re
from collections.abc import Iterator
from typing import Any

MOST_OPCODES = 100_000  # FLAME's files have some thousands; memo numbers stay below it too
MOST_INTEGER = 64  # bytes of an integer
MOST_WIDE = 256  # bytes of a text with letters beyond Latin-1: they take four bytes each
MOST_LEAVES = 100_000  # of a tuple of tuples, each counted as often as it is in there

_BY_CODE = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_PAIRS = ("GLOBAL", "INST")  # two lines instead of one
_TUPLES = ("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_INTEGERS = ("INT", "LONG", "LONG1", "LONG4")
_WIDE = {
    "UNICODE": re.compile(rb"\\U|\\u(?!00)"),
    "BINUNICODE": re.compile(rb"[\xc4-\xff]"),
    "BINUNICODE8": re.compile(rb"[\xc4-\xff]"),
}
_MARK = 0  # on the stack of leaves


def check(data: bytes) -> None:
    """Refuse a pickle that would take much memory or time.

    Raises:
        ValueError: it is no pickle, is truncated, or a step is beyond the limits.
    """
    stack: list[int] = []  # of every object how many leaves it has
    memo: dict[int, int] = {}
    for count, (opcode, argument) in enumerate(_opcodes(data)):
        name = opcode.name
        if count >= MOST_OPCODES:
            raise ValueError(f"more than {MOST_OPCODES} steps")
        if name in _INTEGERS and len(argument) > MOST_INTEGER:
            raise ValueError(f"an integer of {len(argument)} bytes")
        if name in _WIDE and len(argument) > MOST_WIDE and _WIDE[name].search(argument):
            raise ValueError(f"a text of {len(argument)} bytes beyond Latin-1")
        if name in _PUTS or name == "MEMOIZE":
            number = len(memo) if name == "MEMOIZE" else _number(name, argument)
            if not 0 <= number < MOST_OPCODES or not stack:
                raise ValueError(f"number {number} of a memo")
            memo[number] = stack[-1]
        elif name in _GETS:
            stack.append(memo.get(_number(name, argument), 1))
        elif name == "DUP" and stack:
            stack.append(stack[-1])
        else:
            taken = _take(stack, opcode)
            leaves = 1 + sum(taken) if name in _TUPLES else 1
            if leaves > MOST_LEAVES:
                raise ValueError("tuples of tuples without end")
            stack += [_MARK if kind is pickletools.markobject else leaves
                      for kind in opcode.stack_after]  # fmt: skip


def _opcodes(data: bytes) -> Iterator[tuple[pickletools.OpcodeInfo, bytes]]:
    """Every step and the bytes of its argument, up to STOP."""
    place, name = 0, ""
    while name != "STOP":
        opcode = _BY_CODE.get(data[place]) if place < len(data) else None
        if opcode is None:
            raise ValueError(f"no step of a pickle at byte {place}")
        name, begin = opcode.name, place + 1
        length = opcode.arg.n if opcode.arg else 0
        if length == pickletools.UP_TO_NEWLINE:
            end = data.find(b"\n", begin)
            place = end = data.find(b"\n", end + 1) if name in _PAIRS and end >= 0 else end
            place += 1
        else:
            if length < 0:
                begin += _LENGTH_BYTES[length]
                length = int.from_bytes(data[place + 1 : begin], "little")
            place = end = begin + length
        if not begin <= end <= len(data):
            raise ValueError(f"{name} has an argument that is longer than the file")
        yield opcode, data[begin:end]


def _number(name: str, argument: bytes) -> int:
    if name in ("PUT", "GET"):
        return int(argument[:MOST_INTEGER])
    return int.from_bytes(argument, "little")


def _take(stack: list[int], opcode: Any) -> list[int]:
    """Take off the stack what a step does: objects down to a mark, or a fixed number of them."""
    before, taken = opcode.stack_before, []
    fixed = len(before)
    if pickletools.markobject in before:
        while stack and stack[-1] != _MARK:
            taken.append(stack.pop())
        fixed = before.index(pickletools.markobject) + 1  # the mark, and what lies under it
    if len(stack) < fixed:
        raise ValueError(f"{opcode.name} finds too few objects")
    return taken + [stack.pop() for _ in range(fixed)]
