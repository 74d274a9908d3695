"""What the projector makes of MongoDB's errors: smaller batches, reasons without data, a stall."""

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from storelog.projector.batch import MAX_EVENTS
from storelog.projector.checkpoints import Fenced
from storelog.projector.databases.failures import explain, is_timeout
from storelog.projector.pace import Pace


def bulk(*failures: dict[str, object], concern: dict[str, object] | None = None) -> BulkWriteError:
    return BulkWriteError(
        {"writeErrors": list(failures), "writeConcernErrors": [concern] if concern else []}
    )


def fenced(cause: PyMongoError) -> Fenced:
    error = Fenced("a lane")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        NetworkTimeout("127.0.0.1:27017: timed out"),
        AutoReconnect("127.0.0.1:27017: operation cancelled"),
        ExecutionTimeout("operation exceeded time limit", 50),
        WTimeoutError("waiting for replication timed out", 64, {"wtimeout": True}),
        OperationFailure("exceeded time limit", 262),
        OperationFailure("Transaction was aborted, it lived too long", 290),
        OperationFailure("Transaction with { txnNumber: 7 } has been aborted", 251),
        OperationFailure("Unable to acquire lock within a max of 5ms", 24),
        bulk({"index": 0, "code": 50, "errmsg": "operation exceeded time limit"}),
        bulk({"index": 0, "code": 262, "errmsg": "x"}, {"index": 1, "code": 11000, "errmsg": "x"}),
        bulk(concern={"code": 64, "errmsg": "timed out", "errInfo": {"wtimeout": True}}),
        fenced(NetworkTimeout("timed out")),
    ],
    ids=str,
)
def test_every_timeout_of_an_operation_makes_the_next_batch_smaller(error: Exception) -> None:
    assert is_timeout(error)
    now = Pace()
    now.failed(error)
    assert now.batch_events == MAX_EVENTS // 8
    for _ in range(5):
        now.failed(error)
    assert now.batch_events == 1
    now.wrote()
    assert now.batch_events == 2


@pytest.mark.parametrize(
    "error",
    [
        ServerSelectionTimeoutError("no servers found yet, Timeout: 2.0s"),
        AutoReconnect("127.0.0.1:27017: [Errno 111] Connection refused"),
        ConnectionFailure("closed"),
        OperationFailure("not authorized", 13),
        bulk({"index": 0, "code": 121, "errmsg": "Document failed validation"}),
        bulk(concern={"code": 64, "errmsg": "no quorum", "errInfo": {}}),
        Fenced("lane 1 is at 7, not at 8"),
    ],
    ids=str,
)
def test_an_error_that_is_no_timeout_leaves_the_batch_size(error: Exception) -> None:
    assert not is_timeout(error)
    now = Pace()
    now.failed(error)
    assert now.batch_events == MAX_EVENTS


def test_a_rejected_write_has_a_reason_and_quotes_no_data() -> None:
    invalid = {
        "index": 3,
        "code": 121,
        "errmsg": "Document failed validation",
        "op": {"q": {"_id": 5}, "u": {"$set": {"name": "Ann Miller"}}},
        "errInfo": {
            "failingDocumentId": 5,
            "details": {
                "operatorName": "$jsonSchema",
                "schemaRulesNotSatisfied": [
                    {
                        "operatorName": "properties",
                        "propertiesNotSatisfied": [
                            {
                                "propertyName": "email",
                                "details": [
                                    {
                                        "operatorName": "bsonType",
                                        "specifiedAs": {"bsonType": "string"},
                                        "reason": "type did not match",
                                        "consideredValue": ["ann@example.com"],
                                    }
                                ],
                            }
                        ],
                    },
                    {"operatorName": "required", "missingProperties": ["phoneNumber"]},
                ],
            },
        },
    }
    twice = {
        "index": 4,
        "code": 11000,
        "errmsg": "E11000 duplicate key error collection: shop.customers index: email_1"
        ' dup key: { email: "ann@example.com" }',
        "op": {"_id": 6, "name": "Ann Miller"},
    }
    said = explain(bulk(invalid, twice))
    for told in ("121", "document 5", "email", "type did not match", "phoneNumber", "11000",
                 "document 6", "shop.customers"):  # fmt: skip
        assert told in said
    for quoted in ("Ann", "example.com"):
        assert quoted not in said
    one = DuplicateKeyError("x", 11000, {"errmsg": twice["errmsg"]})
    assert "11000" in explain(one) and "example.com" not in explain(one)
    assert "121" in explain(fenced(bulk(invalid)))


def test_a_read_side_that_does_not_move_says_so_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("storelog.projector.pace.time.monotonic", lambda: clock[0])
    now = Pace()
    now.look(((7, 7),), has_work=False)
    clock[0] += 1_000
    now.look(((7, 7),), has_work=False)
    assert now.stalled() is None
    now.look(((7, 7),), has_work=True)
    clock[0] += 29
    now.look(((7, 7),), has_work=True)
    assert now.stalled() is None
    now.failed(AutoReconnect("operation cancelled"))
    # The lanes are loaded anew, and their records are not read yet.
    now.look(((7, 7),), has_work=False)
    clock[0] += 2
    assert "has not moved for 31 s; the last error: operation cancelled" in str(now.stalled())
    now.look(((8, 7),), has_work=True)
    assert now.stalled() is None
    clock[0] += 40
    assert "has not moved for" not in str(now.stalled())
    now.look(((8, 7),), has_work=True)
    clock[0] += 40
    assert "has not moved for 40 s" in str(now.stalled())
