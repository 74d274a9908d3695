"""The faults by name. Each one takes a trial, disturbs the system, and restores it.

Next: torture/faults/trial.py
"""

from collections.abc import Callable

from storelog.torture.faults import (
    changes,
    commands,
    disks,
    leaders,
    processes,
    records,
    servers,
    topics,
    wires,
)
from storelog.torture.faults.trial import Trial

FAULTS: dict[str, Callable[[Trial], None]] = {
    "kill": processes.kill,
    "kill-ours": processes.kill_ours,
    "kill-all": processes.kill_all,
    "pause": processes.pause,
    "restart": processes.restart,
    "leader-killed": leaders.kill_leader,
    "leader-paused": leaders.pause_leader,
    "command-refused": commands.reject_one,
    "postgresql-stop": servers.stop_postgresql,
    "postgresql-away": servers.postgresql_away,
    "kafka-kill": servers.kill_kafka,
    "kafka-away": servers.kafka_away,
    "kafka-topic": topics.remake_topic,
    "kafka-foreign": records.send_foreign,
    "mongodb-kill": servers.kill_mongodb,
    "mongodb-away": servers.mongodb_away,
    "mongodb-wiped": servers.wipe_mongodb,
    "mongodb-older": servers.older_mongodb,
    "lanes-interrupted": changes.interrupt_lanes,
    "rebuild-interrupted": changes.interrupt_rebuild,
    "promotion-interrupted": changes.interrupt_promotion,
    "rollback-interrupted": changes.interrupt_rollback,
    "away-minutes": servers.away_for_minutes,
    "wire-delayed": wires.delay,
    "wire-cut": wires.cut,
    "wire-half-open": wires.half_open,
    "wire-bytes": wires.dribble,
    "wire-commit": wires.lose_commit,
    "disk-full-postgresql": disks.full_postgresql,
    "disk-full-kafka": disks.full_kafka,
    "disk-full-mongodb": disks.full_mongodb,
}
# Kinds that take minutes each. A run in which each kind comes once leaves them out.
LONG = ("away-minutes",)
NEED_DISKS = tuple(name for name in FAULTS if name.startswith("disk-full"))
