import Glibc
import Synchronization

/// Runs programs for tests: `ip`, `nft`, peers. The product itself runs none.
public enum Command {
    /// What a program left behind.
    public struct Outcome: Sendable {
        /// Its exit status; -1 when it could not be run.
        public let status: Int32
        /// What it wrote to standard output and error.
        public let output: String

        /// Of a program that could not be run.
        public static let none = Outcome(status: -1, output: "")
    }

    /// Runs a shell command and waits for it.
    @discardableResult
    public static func run(_ command: String) -> Outcome {
        guard let stream = unsafe popen("\(command) 2>&1", "r") else {
            return Outcome(status: -1, output: "popen failed")
        }
        var output = ""
        var buffer = [CChar](repeating: 0, count: 4_096)
        while unsafe fgets(&buffer, Int32(buffer.count), stream) != nil {
            output += String(
                decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
                as: UTF8.self
            )
        }
        let status = unsafe pclose(stream)
        return Outcome(status: status >> 8 & 0xff, output: output)
    }

    /// Counts the names given out, from anywhere: another process with alike digits counts from
    /// elsewhere.
    private static let nameCount = Atomic<UInt32>(UInt32.random(in: 0...UInt32.max))

    /// A name that no other test of this or another process uses: seven letters and digits after
    /// the prefix at most.
    public static func uniqueName(_ prefix: String) -> String {
        let number = nameCount.wrappingAdd(1, ordering: .relaxed).newValue % 46_656
        return "\(prefix)\(getpid() % 10_000)\(String(number, radix: 36))"
    }
}
