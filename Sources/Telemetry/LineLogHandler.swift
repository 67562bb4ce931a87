import Logging
import Synchronization

/// Where log lines go and which of them: one for the process, shared by every logger.
package final class LogOutput: Sendable {
    /// How a line is written.
    package enum Format: String, Sendable, CaseIterable {
        case text
        case json
    }

    private let levelIndex: Atomic<Int>
    private let format: Format
    private let limiter: RepeatLimiter
    private let clock: @Sendable () -> UInt64
    private let write: @Sendable (String) -> Void

    /// Makes an output.
    ///
    /// - Parameters:
    ///   - clock: the wall clock, nanoseconds since 1970.
    ///   - write: takes one line with its line feed; any thread.
    package init(
        level: Logger.Level,
        format: Format = .text,
        clock: @escaping @Sendable () -> UInt64,
        write: @escaping @Sendable (String) -> Void
    ) {
        levelIndex = Atomic(LogOutput.index(of: level))
        self.format = format
        limiter = RepeatLimiter()
        self.clock = clock
        self.write = write
    }

    /// The least level that is written; may be changed at any time, from any thread.
    package var level: Logger.Level {
        get { Logger.Level.allCases[levelIndex.load(ordering: .relaxed)] }
        set { levelIndex.store(LogOutput.index(of: newValue), ordering: .relaxed) }
    }

    /// Messages held back because the same one had come too often.
    package var suppressedCount: UInt64 { limiter.suppressedCount }

    /// How often older kinds of message were forgotten.
    package var forgottenKindCount: UInt64 { limiter.forgottenCount }

    /// A logger that writes here.
    ///
    /// - Parameters:
    ///   - label: the part of the agent that speaks, such as `xdp`.
    package func logger(_ label: String) -> Logger {
        Logger(label: label) { LineLogHandler(label: $0, output: self) }
    }

    private static func index(of level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }

    func emit(_ level: Logger.Level, label: String, message: String, fields: [(String, String)]) {
        let now = clock()
        let verdict = limiter.admit("\(label)\u{0}\(message)", now: now)
        guard case .admitted(let suppressed) = verdict else { return }
        let fields = suppressed == 0 ? fields : fields + [("suppressed", String(suppressed))]
        let time = Timestamp.text(nanoseconds: now)
        switch format {
        case .text:
            let tail = fields.map { " \($0.0)=\(LogOutput.quoted($0.1))" }.joined()
            write("\(time) \(level.rawValue) \(label): \(LogOutput.oneLine(message))\(tail)\n")
        case .json:
            var json = JSONWriter()
            json.object { json in
                json.string("time", time)
                json.string("level", level.rawValue)
                json.string("part", label)
                json.string("message", message)
                for (name, value) in fields { json.string(name, value) }
            }
            write(json.text + "\n")
        }
    }

    /// No peer can forge a line: control characters become spaces.
    private static func oneLine(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
    }

    private static func quoted(_ text: String) -> String {
        guard text.isEmpty || text.contains(where: { $0 == " " || $0 == "\"" || $0 < " " }) else {
            return text
        }
        var json = JSONWriter()
        json.string(text)
        return json.text
    }
}

/// The swift-log handler behind `LogOutput.logger`.
struct LineLogHandler: LogHandler {
    let label: String
    let output: LogOutput
    var metadata: Logger.Metadata = [:]

    var logLevel: Logger.Level {
        get { output.level }
        set { output.level = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let fields = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        output.emit(event.level, label: label, message: "\(event.message)", fields: fields)
    }
}
