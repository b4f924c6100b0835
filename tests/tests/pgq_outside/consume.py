"""Consumers made with Debian's python3-pgq, as any of its users writes them. Run by clients.rs:
consume.py KIND OUTPUT [skytools' own arguments]. Each event that is taken is a line of OUTPUT: type, data, retry."""

import sys
import time

import pgq

kind, output = sys.argv[1], open(sys.argv[2], "a", buffering=1)


def note(ev):
    print(ev.ev_type, ev.ev_data, ev.retry, file=output)


def stumble():
    print("stumbled", file=output)
    while True:
        time.sleep(60)


class Plain(pgq.Consumer):
    """Asks for everything whose data begins with 'again' to come once more."""

    def process_event(self, db, ev):
        note(ev)
        if ev.ev_data.startswith("again") and ev.retry is None:
            ev.tag_retry(1)
        else:
            ev.tag_done()


class Shared(pgq.CoopConsumer):
    """Stops for good in the middle of a batch with 'poison' in it, if it is the member that is told to; what it takes it
    notes at the batch's end, when it is done."""

    def process_batch(self, db, batch_id, event_list):
        events = list(event_list)
        for ev in events:
            if ev.ev_data == "poison" and self.cf.get("stumble", "") == "yes":
                stumble()
            ev.tag_done()
        for ev in events:
            note(ev)


class Onward:
    """Writes each event into the other database, in the transaction that remembers the batch there."""

    def process_remote_batch(self, db, batch_id, event_list, dst_db):
        curs = dst_db.cursor()
        for ev in event_list:
            curs.execute("insert into arrived (ev_id, data) values (%s, %s)", [ev.id, ev.ev_data])
            if ev.ev_data == "poison" and self.cf.get("stumble", "") == "yes":
                stumble()
            ev.tag_done()


class Serial(Onward, pgq.SerialConsumer):
    pass


class Remote(Onward, pgq.RemoteConsumer):
    pass


if __name__ == "__main__":
    arguments = sys.argv[3:]
    if kind == "plain":
        script = Plain("consumer", "source_db", arguments)
    elif kind == "shared":
        script = Shared("consumer", "source_db", arguments)
    elif kind == "serial":
        script = Serial("consumer", "source_db", "target_db", arguments)
    elif kind == "remote":
        script = Remote("consumer", "source_db", "target_db", arguments)
    else:
        sys.exit("no kind " + kind)
    script.start()
