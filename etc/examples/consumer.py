"""A consumer with Debian's python3-pgq:
    python3 etc/examples/consumer.py --register etc/examples/consumer.ini
    python3 etc/examples/consumer.py etc/examples/consumer.ini
"""

import sys

import pgq


class Mailer(pgq.Consumer):
    def process_event(self, db, ev):
        if ev.ev_type == "goodbye" and ev.retry is None:
            # Once more in a second, for this consumer only.
            ev.tag_retry(1)
            return
        print(ev.ev_type, ev.ev_data, flush=True)
        ev.tag_done()


if __name__ == "__main__":
    Mailer("mailer", "app_db", sys.argv[1:]).start()
