import MeshModel
import Telemetry

/// Carries blocks that plugins made from the workers to the books, without ever making a worker
/// wait. What finds as many waiting as may is dropped and counted: the block is in force, and is
/// missing from the books alone.
struct BlockNews: Sendable {
    /// What the workers told, for one reader.
    let blocks: AsyncStream<Block>
    /// How much was dropped.
    let dropped = SharedCounter()
    private let continuation: AsyncStream<Block>.Continuation

    /// Makes an empty carrier.
    ///
    /// - Parameter newsMax: blocks that may wait.
    init(newsMax: Int) {
        (blocks, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(newsMax))
    }

    /// Tells of a block, from any thread.
    func tell(_ block: Block) {
        if case .dropped = continuation.yield(block) { dropped.add() }
    }
}
