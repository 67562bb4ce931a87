import CMeshMaps
import LinuxSystem
import MeshModel

/// Puts blocks into the kernel from any thread, without lock or wait: one check that this agent
/// still is the node's writer, and one update that carries everything known of the block.
package struct BlockWriter: Sendable {
    let blocks: KernelMap
    let blockPrefixes: KernelMap
    let writer: KernelMap
    let generation: UInt64

    /// Writes a block at listener scope; packets are dropped from when this returns. The never-list
    /// and quotas are the caller's to check first.
    ///
    /// - Throws: `.notListenerScope` for the other scopes: the shield looks for those only once the
    ///   engine has told it to.
    package func write(_ block: Block) throws(BlockRefusal) {
        guard case .listener = block.scope else { throw .notListenerScope }
        try put(block)
    }

    /// Writes a block of any scope.
    func put(_ block: Block) throws(BlockRefusal) {
        let clocks = BlockRecord.Clocks.now()
        let record = try BlockRecord(block, clocks: clocks, writer: generation)
        guard isCurrent() else { throw .superseded }
        let map = record.isPrefix ? blockPrefixes : blocks
        do throws(Errno) {
            try map.update(record.key, record.value)
        } catch {
            throw .kernel(errno: error.rawValue)
        }
    }

    /// Whether this agent's generation still stands in the pinned map.
    func isCurrent() -> Bool {
        (try? currentWriter())??.generation == generation
    }

    func currentWriter() throws(Errno) -> mesh_writer? {
        try writer.value(Layout.bytes(of: UInt32(0)))
            .flatMap { Layout.value($0, as: mesh_writer.self) }
    }
}

extension BlockRecord.Clocks {
    /// Reads both clocks.
    static func now() -> BlockRecord.Clocks {
        BlockRecord.Clocks(
            monotonicNanoseconds: Clock.monotonicNanoseconds(),
            wallNanoseconds: Clock.wallNanoseconds()
        )
    }
}
