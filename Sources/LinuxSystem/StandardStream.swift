/// The process's standard output and standard error.
package enum StandardStream: Int32, Sendable {
    case output = 1
    case error = 2

    /// Writes text, waiting as it must; a stream that nobody reads is no fault.
    package func write(_ text: String) {
        try? FileSystem.writeAll(Array(text.utf8), to: rawValue)
    }
}
