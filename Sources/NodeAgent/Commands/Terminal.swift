import ArgumentParser
import LinuxSystem

/// The one writer of everything a command says.
enum Terminal {
    /// Writes one line of output.
    static func output(_ line: String) { StandardStream.output.write(line + "\n") }

    /// Writes one line of error: what was expected, what came, where.
    static func error(_ line: String) {
        StandardStream.error.write(line.split(separator: "\n").joined(separator: " ") + "\n")
    }

    /// Says why a command refuses, and ends it.
    static func refusal(_ line: String) -> ExitCode {
        error(line)
        return .refused
    }
}

extension ExitCode {
    /// Refused or invalid.
    static let refused = ExitCode(1)
    /// The agent could not be reached.
    static let unreachable = ExitCode(3)
}
