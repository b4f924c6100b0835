"""Asks barman what its retention policies say: a catalogue a line, as JSON, and a report a line."""
import datetime
import json
import sys
from types import SimpleNamespace

from barman import retention_policies

REAL = datetime.datetime


def report(case):
    """The state of each base."""
    now = REAL.fromtimestamp(case["now"], datetime.timezone.utc)

    class Fixed(REAL):
        """A clock that stands at the case's moment."""

        @classmethod
        def now(cls, tz=None):
            return now.astimezone(tz) if tz else now.replace(tzinfo=None)

    retention_policies.datetime = Fixed
    bases = {
        base["id"]: SimpleNamespace(
            backup_id=base["id"],
            end_time=REAL.fromtimestamp(base["end"], datetime.timezone.utc),
            status="DONE" if base["complete"] else "FAILED",
            begin_wal="0",
        )
        for base in case["bases"]
    }
    keep = {base["id"]: base["keep"] for base in case["bases"]}
    server = SimpleNamespace(
        name="archive",
        config=SimpleNamespace(
            name="archive", minimum_redundancy=case["minimum"], retention_policy=None
        ),
        get_available_backups=lambda *_: dict(bases),
        backup_manager=SimpleNamespace(get_keep_target=keep.get),
    )
    policy = retention_policies.RetentionPolicyFactory.create(
        "retention_policy", case["policy"], server=server
    )
    states = policy.report()
    return [states[base["id"]] for base in case["bases"]]


for line in sys.stdin:
    print(json.dumps(report(json.loads(line))))
