import Logging
import Synchronization
import Telemetry
import Testing

@Suite struct LogTests {
    private final class Lines: Sendable {
        let lines = Mutex<[String]>([])
        let now = Atomic<UInt64>(1_767_225_600_042_000_000)

        func output(
            _ level: Logger.Level = .info,
            _ format: LogOutput.Format = .text
        ) -> LogOutput {
            LogOutput(
                level: level,
                format: format,
                clock: { self.now.load(ordering: .relaxed) },
                write: { line in self.lines.withLock { $0.append(line) } }
            )
        }

        var all: [String] { lines.withLock { $0 } }
    }

    @Test func aTextLineHasTimeLevelPartMessageAndFields() {
        let lines = Lines()
        let logger = lines.output().logger("xdp")
        logger.warning("attached", metadata: ["b": "two words", "a": "1"])
        #expect(
            lines.all == [
                "2026-01-01T00:00:00.042Z warning xdp: attached a=1 b=\"two words\"\n"
            ]
        )
    }

    @Test func aJSONLineIsOneObject() {
        let lines = Lines()
        lines.output(.info, .json).logger("agent").error("no \"luck\"", metadata: ["n": "2"])
        #expect(
            lines.all == [
                #"{"time":"2026-01-01T00:00:00.042Z","level":"error","part":"agent","#
                    + #""message":"no \"luck\"","n":"2"}"# + "\n"
            ]
        )
    }

    @Test func theLevelChangesForLoggersThatExist() {
        let lines = Lines()
        let output = lines.output(.warning)
        let logger = output.logger("agent")
        logger.info("unheard")
        output.level = .debug
        logger.debug("heard")
        #expect(lines.all.count == 1)
        #expect(output.level == .debug)
    }

    @Test func aMessageCannotForgeALine() {
        let lines = Lines()
        lines.output().logger("agent").info("a\n2026 error", metadata: ["k": "x\ny"])
        #expect(lines.all == ["2026-01-01T00:00:00.042Z info agent: a 2026 error k=\"x\\ny\"\n"])
    }

    @Test func repeatedMessagesAreHeldBackAndCounted() {
        let lines = Lines()
        let output = lines.output()
        let logger = output.logger("agent")
        for _ in 0..<20 { logger.info("again") }
        logger.info("other")
        #expect(lines.all.count == RepeatLimiter.burstCount + 1)
        #expect(output.suppressedCount == 15)
        lines.now.add(RepeatLimiter.windowNanoseconds, ordering: .relaxed)
        logger.info("again")
        #expect(lines.all.last?.hasSuffix("agent: again suppressed=15\n") == true)
    }

    @Test func theLimiterForgetsTheOldestKinds() {
        let limiter = RepeatLimiter()
        for index in 0..<(RepeatLimiter.kindMax * 3) {
            let verdict = limiter.admit("k\(index)", now: UInt64(index))
            #expect(verdict == .admitted(suppressedCount: 0))
        }
    }
}

@Suite struct TimestampTests {
    @Test(arguments: [
        (UInt64(0), "1970-01-01T00:00:00.000Z"),
        (951_782_399_999_000_000, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
        (1_709_251_199_000_000_000, "2024-02-29T23:59:59.000Z"),
        (4_102_444_800_000_000_000, "2100-01-01T00:00:00.000Z"),
    ])
    func datesAreCivil(_ nanoseconds: UInt64, _ expected: String) {
        #expect(Timestamp.text(nanoseconds: nanoseconds) == expected)
    }
}
