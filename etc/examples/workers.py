"""Several workers share the events of one consumer; start one process for each name:
    python3 etc/examples/workers.py --register etc/examples/workers.ini
    python3 etc/examples/workers.py --set subconsumer_name=w1 etc/examples/workers.ini
"""

import sys

import pgq


class Worker(pgq.CoopConsumer):
    def process_event(self, db, ev):
        print(self.subconsumer_name, ev.ev_type, ev.ev_data, flush=True)
        ev.tag_done()


if __name__ == "__main__":
    Worker("worker", "app_db", sys.argv[1:]).start()
