import LinuxSystem

/// A thread that runs a loop.
package enum LoopThread {
    /// Starts a thread named `name` (15 bytes) that runs the loop until it is stopped and then
    /// disposes of it.
    package static func start(_ loop: LoopBound<EventLoop>, name: String) throws(Errno) {
        try RawThread.start(name: name) {
            loop.ownedByThisThread.run()
            loop.ownedByThisThread.dispose()
        }
    }
}

/// A pointer that several threads may use because what it points to is safe for that.
@safe struct SharedPointer: @unchecked Sendable {
    // SAFETY: made only for objects that are reference counted atomically and not changed once
    // they are shared.
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }
}

/// Something that belongs to one loop's thread, held by others who may only send work to it.
package struct LoopBound<Value>: @unchecked Sendable {
    // SAFETY: the value is only touched by closures that the loop runs on its own thread, and by
    // the thread that runs the loop.
    private let value: Value
    private let loop: EventLoop

    /// Binds a value to the loop that owns it.
    package init(_ value: Value, to loop: EventLoop) {
        self.value = value
        self.loop = loop
    }

    /// The value, for code that runs on the loop's thread or before the loop runs.
    package var ownedByThisThread: Value { value }

    /// Has `body` run with the value on the loop's thread.
    ///
    /// - Returns: `false` when the loop's mailbox is full.
    package func submit(_ body: @escaping @Sendable (Value) -> Void) -> Bool {
        loop.submit { body(value) }
    }

    /// Has `body` run with the value on the loop's thread and waits for its result.
    ///
    /// - Returns: `nil` when the loop's mailbox is full.
    package func perform<Result: Sendable>(
        _ body: @escaping @Sendable (Value) -> Result
    ) async -> Result? {
        await withCheckedContinuation { continuation in
            let accepted = loop.submit { continuation.resume(returning: body(value)) }
            if !accepted { continuation.resume(returning: nil) }
        }
    }

    /// Binds another value to the same loop.
    package func binding<Other>(_ other: Other) -> LoopBound<Other> {
        LoopBound<Other>(other, to: loop)
    }

    /// Ends the loop's run.
    package func stop() { loop.stop() }
}
