/// Threads for calls that block: name service, child processes. Never the concurrency runtime's own
/// threads, of which there are as many as cores.
package enum BlockingThread {
    /// Runs `body` on a new thread and waits for its result without blocking.
    ///
    /// - Parameters:
    ///   - name: the thread's name, 15 bytes.
    /// - Returns: `nil` when no thread could be started.
    package static func run<Result: Sendable>(
        name: String,
        _ body: @escaping @Sendable () -> Result
    ) async -> Result? {
        await withCheckedContinuation { continuation in
            do {
                try RawThread.start(name: name) { continuation.resume(returning: body()) }
            } catch {
                continuation.resume(returning: nil)
            }
        }
    }
}
