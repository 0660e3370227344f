"""Reports on their way from a device to the cloud's sink, while either end dies at any moment and connections break.

The buffer, the telemetry core, the mirror of the file and the cloud's stream are the real ones. The device's file, the
cloud's database and the network are lists: what is in the first two survives, and a power cut puts the file back.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import tempfile
from collections import Counter, defaultdict, deque
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headstay.cloud.registry import Registry
from headstay.cloud.telemetry import ReportStream
from headstay.engine.instant import Instant
from headstay.engine.reports import Reports, WaitingReport
from headstay.engine.services.telemetry import Telemetry
from headstay.engine.subconnection import (
    Lost,
    Opened,
    Received,
    ServiceContext,
    ServiceInput,
    Woken,
)
from headstay.report_store import Changes, Content, Mirror
from headstay.wire.messages import TELEMETRY_TO_CLOUD, Report, encode

LIMIT = 40
Number = tuple[str, int]


class Store:
    """The device's store with a list in the place of the file."""

    def __init__(self, rows: list[WaitingReport]) -> None:
        self._earlier = tuple(rows)
        self.mirror = Mirror(Content(self._earlier))

    def earlier(self) -> tuple[WaitingReport, ...]:
        return self._earlier

    def append(self, report: WaitingReport) -> None:
        self.mirror.append(report)

    def forget(self, reports: list[WaitingReport]) -> None:
        self.mirror.forget(reports)


class Sink:
    """What the cloud keeps: its reports, and of each boot the highest number, always written together."""

    def __init__(self) -> None:
        self.reports: list[Number] = []
        self._last: dict[str, int] = {}

    def store(self, report: Report) -> None:
        if report.sequence > self._last.get(report.boot_id, 0):
            self._last[report.boot_id] = report.sequence
            self.reports.append((report.boot_id, report.sequence))


class Restarts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sink = Sink()
        self.acknowledged: set[Number] = set()
        self.owed: set[Number] = set()
        """What must reach the sink in the end: neither dropped, nor lost with a process that died."""
        self.file: list[WaitingReport] = []
        self.files: list[list[WaitingReport]] = [[]]
        """The file as it was after each transaction; a power cut takes the last of them back."""
        self.boots = itertools.count(1)
        self.time = itertools.count(1)
        self.core: Telemetry | None = None
        self._begin()

    def _begin(self) -> None:
        self.boot = f"boot-{next(self.boots)}"
        self.made = 0
        self.store = Store(self.file)
        self.reports = Reports(self.boot, LIMIT, self.store)
        self.writing: Changes | None = None

    # the device -------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 20))
    def something_happens(self, count: int) -> None:
        for _ in range(count):
            dropped = self.reports.account.dropped_total
            self.reports.add({"event": "e"}, 0.0, hopeful=True, now=0.0)
            if self.reports.account.dropped_total == dropped:
                self.made += 1
                self.owed.add((self.boot, self.made))
        self._tell(Woken())

    @precondition(lambda self: self.writing is None)
    @rule()
    def begins_to_write(self) -> None:
        self.writing = self.store.mirror.changes()

    @precondition(lambda self: self.writing is not None)
    @rule()
    def has_written(self) -> None:
        assert self.writing is not None
        self._commit()
        self.store.mirror.written(self.writing)
        self.writing = None

    @rule(committed=st.booleans(), arrives=st.integers(0, 40))
    def device_is_killed(self, committed: bool, arrives: int) -> None:
        if committed and self.writing is not None:
            self._commit()
        self._device_dies(arrives)

    @rule(transactions=st.integers(1, 5), arrives=st.integers(0, 40))
    def power_is_cut(self, transactions: int, arrives: int) -> None:
        self.files = self.files[: max(1, len(self.files) - transactions)]
        self.file = list(self.files[-1])
        self._device_dies(arrives)

    @rule()
    def device_is_stopped(self) -> None:
        if self.writing is not None:
            self.has_written()
        self.begins_to_write()
        if self.writing is not None:
            self.has_written()
        self._device_dies(0)

    # the network ------------------------------------------------------------------------------------

    @precondition(lambda self: self.core is None)
    @rule()
    def connects(self) -> None:
        self.stream = ReportStream()
        self.to_cloud: deque[str] = deque()
        self.to_device: deque[bytes] = deque()
        self.unacknowledged: Report | None = None
        self.core = Telemetry(ServiceContext(self.reports))
        self._tell(Opened())

    @precondition(lambda self: self.core is not None)
    @rule(arrives=st.integers(0, 40))
    def breaks(self, arrives: int) -> None:
        self._tell(Lost())
        self._arrive(arrives)
        self.core = None

    @precondition(lambda self: self.core is not None)
    @rule(count=st.integers(1, 40))
    def reports_arrive(self, count: int) -> None:
        self._arrive(count)

    @precondition(lambda self: self.core is not None)
    @rule(count=st.integers(1, 40))
    def acknowledgements_arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.to_device))):
            self._tell(Received(self.to_device.popleft().decode()))

    # the cloud --------------------------------------------------------------------------------------

    @precondition(lambda self: self.core is not None)
    @rule()
    def cloud_is_killed(self) -> None:
        """What it has received and not stored is gone, and so is what it would have acknowledged."""
        self._tell(Lost())
        self.core = None

    @precondition(lambda self: self.core is not None and self.to_cloud)
    @rule()
    def cloud_is_killed_between_storing_and_acknowledging(self) -> None:
        self._store()
        self.cloud_is_killed()

    # what holds at any time -------------------------------------------------------------------------

    @invariant()
    def nothing_is_delivered_twice(self) -> None:
        assert max(Counter(self.sink.reports).values(), default=1) == 1

    @invariant()
    def what_was_acknowledged_is_in_the_sink(self) -> None:
        assert self.acknowledged <= set(self.sink.reports)

    @invariant()
    def each_boot_is_delivered_in_order_and_without_gaps(self) -> None:
        of_boot = defaultdict(list)
        for boot, sequence in self.sink.reports:
            of_boot[boot].append(sequence)
        for sequences in of_boot.values():
            assert sequences == list(range(1, len(sequences) + 1))

    @invariant()
    def the_file_is_bounded_and_without_gaps(self) -> None:
        assert len(self.file) <= LIMIT
        of_boot = defaultdict(list)
        for report in self.file:
            of_boot[report.boot_id].append(report.sequence)
        for sequences in of_boot.values():
            assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))

    def teardown(self) -> None:
        """Once nothing dies any more, all that is owed arrives."""
        if self.core is None:
            self.connects()
        while self.to_cloud or self.to_device:
            self.reports_arrive(1)
            self.acknowledgements_arrive(40)
        assert self.owed <= set(self.sink.reports)
        assert len(self.reports) == 0
        self.device_is_stopped()
        assert self.file == []
        self.nothing_is_delivered_twice()
        self.each_boot_is_delivered_in_order_and_without_gaps()

    # how it works -----------------------------------------------------------------------------------

    def _tell(self, given: ServiceInput) -> None:
        if self.core is None:
            return
        now = Instant(0.0, 0.0)
        assert self.core.handle(given, now) == []
        while not isinstance(given, Lost) and (message := self.core.take(now)) is not None:
            self.to_cloud.append(message)

    def _arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.to_cloud))):
            self._store()
            if self.unacknowledged is not None:
                ack = self.stream.stored(self.unacknowledged)
                self.acknowledged |= {(ack.boot_id, ack.sequence)}
                self.to_device.append(encode(ack))

    def _store(self) -> None:
        report = TELEMETRY_TO_CLOUD.decode(self.to_cloud.popleft())
        assert isinstance(report, Report)
        self.stream.check(report)  # an honest device never breaks the order
        self.sink.store(report)
        self.unacknowledged = report

    def _commit(self) -> None:
        assert self.writing is not None
        removed = set(self.writing.removed)
        kept = [row for row in self.file if (row.boot_id, row.sequence) not in removed]
        self.file = [*kept, *self.writing.added]
        self.files.append(list(self.file))

    def _device_dies(self, arrives: int) -> None:
        if self.core is not None:
            self._arrive(arrives)  # what the network still had
            self.core = None
        self.owed &= {(row.boot_id, row.sequence) for row in self.file} | set(self.sink.reports)
        self._begin()


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=150, stateful_step_count=50, deadline=None, phases=[Phase.generate])


RESTART = ("", 0)
NUMBERS = st.tuples(st.sampled_from("abc"), st.integers(1, 12))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(NUMBERS, NUMBERS, NUMBERS, st.just(RESTART)), max_size=40))
def test_the_registry_stores_what_the_sink_above_stores(numbers: list[Number]) -> None:
    """Whatever comes in whatever order, across restarts of the cloud."""
    sink, now = Sink(), datetime.datetime(2026, 1, 27, tzinfo=datetime.UTC)

    async def store_all(path: Path) -> list[Number]:
        registry = await Registry.open(path)
        await registry.add("SW-1", None, now)
        for number in numbers:
            if number == RESTART:
                await registry.close()
                registry = await Registry.open(path)
            else:
                report = Report(*number, "t", {})
                assert await registry.store_report("sw-1", report, now)
                sink.store(report)
        stored = await registry.reports("sw-1")
        await registry.close()
        return [(report.boot_id, report.sequence) for report in stored]

    with tempfile.TemporaryDirectory() as directory:
        assert asyncio.run(store_all(Path(directory) / "registry.sqlite")) == sink.reports
