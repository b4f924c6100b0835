#!/usr/bin/env python3
"""Decodes a queue's events into the rows of its tables, written from sql/FORMAT.md alone, with nothing but Python.

Reads JSON lines from standard input, one event each, in the order of ev_id: ev_type, ev_data, ev_extra1, ev_extra2,
ev_extra3. Writes one JSON object: the name of each table, and its rows as a sorted list of lists of texts and nulls.
"""
import json
import sys


def fields(text, at):
    """The fields of the record that begins at `at`, and the place behind it."""
    assert text[at] == "(", (text, at)
    at += 1
    found = []
    while True:
        value, seen = [], False
        while text[at] not in ",)":
            seen = True
            if text[at] != '"':
                assert text[at] not in '\\( \n', (text, at)
                value.append(text[at])
                at += 1
                continue
            at += 1
            while True:
                if text[at] == '"' and text[at + 1] != '"':
                    at += 1
                    break
                if text[at] == '"' or text[at] == "\\":
                    at += 1
                value.append(text[at])
                at += 1
        found.append("".join(value) if seen else None)
        at += 1
        if text[at - 1] == ")":
            return found, at


def rows(block):
    at = 0
    while True:
        row, at = fields(block, at)
        yield row
        if at == len(block):
            return
        assert block[at] == "\n", (block, at)
        at += 1


shapes, tables, names = {}, {}, {}
for line in sys.stdin:
    event = json.loads(line)
    kind = event["ev_type"]
    if kind == "trunkline.1.shape":
        shape = json.loads(event["ev_data"])
        shapes[event["ev_extra2"]] = shape
        oid = shape["table"]["oid"]
        names[oid] = event["ev_extra1"]
        tables.setdefault(oid, {})
        if shape.get("dropped"):
            del tables[oid]
    elif kind in ("trunkline.1.rows", "trunkline.1.truncate"):
        shape = shapes[event["ev_extra2"]]
        table = tables[shape["table"]["oid"]]
        columns = shape["columns"]
        places = sorted((c["key"], i) for i, c in enumerate(columns) if c["key"])
        if kind == "trunkline.1.truncate":
            table.clear()
            continue
        for row in rows(event["ev_data"]):
            if event["ev_extra3"] in ("delete", "gone"):
                table.pop(tuple(row), None)
            else:
                assert len(row) == len(columns), row
                table[tuple(row[i] for _, i in places)] = row
    else:
        assert not kind.startswith("trunkline."), kind
json.dump({names[oid]: sorted(t.values(), key=repr) for oid, t in tables.items()}, sys.stdout)
