/// Durations as the command line and plugins write them: `30s`, `5m`, `1h`, `500ms`.
enum DurationText {
    /// Reads a whole number and its unit.
    ///
    /// - Returns: `nil` for anything else, and for what is beyond 30 days.
    static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int64(digits), digits.count <= 10 else { return nil }
        let milliseconds: Int64
        switch text.dropFirst(digits.count) {
        case "ms": milliseconds = count
        case "s": milliseconds = count * 1_000
        case "m": milliseconds = count * 60_000
        case "h": milliseconds = count * 3_600_000
        default: return nil
        }
        guard milliseconds <= 30 * 86_400_000 else { return nil }
        return .milliseconds(milliseconds)
    }

    /// Writes seconds as people read them: `45s`, `3m5s`, `2h10m`, `4d3h`.
    static func text(seconds: Int64) -> String {
        switch seconds {
        case ..<60: "\(seconds)s"
        case ..<3_600: "\(seconds / 60)m\(seconds % 60)s"
        case ..<86_400: "\(seconds / 3_600)h\(seconds / 60 % 60)m"
        default: "\(seconds / 86_400)d\(seconds / 3_600 % 24)h"
        }
    }
}
