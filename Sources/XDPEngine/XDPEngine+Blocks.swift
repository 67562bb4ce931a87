import Addressing
import CMeshMaps
import LinuxSystem
import MeshModel

extension XDPEngine {
    /// What workers write blocks with; `nil` where the shield is off.
    package var blockWriter: BlockWriter? {
        state.withLock { $0.attachments.isEmpty ? nil : writerLocked($0) }
    }

    /// What the packet layer sees of sources; `nil` where the shield is off.
    package var sourceCounters: SourceCounters? {
        state.withLock { $0.object?.maps["sources"].map(SourceCounters.init) }
    }

    func writerLocked(_ state: State) -> BlockWriter? {
        guard let maps = state.object?.maps, let blocks = maps["blocks"],
            let prefixes = maps["block_prefixes"], let writer = maps["writer"]
        else { return nil }
        return BlockWriter(
            blocks: blocks,
            blockPrefixes: prefixes,
            writer: writer,
            generation: state.generation
        )
    }

    /// Blocks a source, after the never-list, which binds operators too. Prefixes at node scope only.
    package func addBlock(_ block: Block) throws(BlockRefusal) {
        let refusal = state.withLock { state -> BlockRefusal? in
            if let reason = state.neverList.reason(for: block.source) {
                return .protected(block.source, reason: reason)
            }
            guard let writer = writerLocked(state) else { return .off }
            do throws(BlockRefusal) {
                try writer.put(block)
                noteScopes([block], &state)
                return nil
            } catch {
                return error
            }
        }
        if let refusal { throw refusal }
    }

    /// Tells the shield which scopes to look at, where blocks of wider scopes came or went.
    private func noteScopes(_ changed: [Block], _ state: inout State) {
        let isWide = changed.contains { block in
            if case .listener = block.scope { false } else { true }
        }
        if isWide { try? refreshConfig(&state) }
    }

    /// Flags for the scopes that have blocks now.
    func scopeFlags(_ state: State) -> UInt32 {
        guard let writer = writerLocked(state) else { return 0 }
        var flags: UInt32 = 0
        for entry in entries(of: writer) {
            switch entry.block.scope {
            case .node where entry.block.source.isHost: flags |= MESH_CONFIG_NODE_BLOCKS.rawValue
            case .node: flags |= MESH_CONFIG_PREFIX_BLOCKS.rawValue
            case .gateway: flags |= MESH_CONFIG_GATEWAY_BLOCKS.rawValue
            case .listener: break
            }
        }
        return flags
    }

    /// Lifts blocks of a source.
    ///
    /// - Parameter scope: `nil` lifts them at every scope.
    /// - Returns: the blocks that were lifted, with their last counts.
    @discardableResult
    package func removeBlock(source: IPPrefix, scope: BlockScope? = nil) throws(BlockRefusal)
        -> [Block]
    {
        try removeBlocks { block, _ in
            block.source == source && (scope == nil || scope == block.scope)
        }
    }

    /// Removes blocks whose time is over; to be called about once a second.
    ///
    /// - Returns: the blocks that ended, with their last counts.
    @discardableResult
    package func sweep() -> [Block] {
        let removed = try? removeBlocks { _, isExpired in isExpired }
        return removed ?? []
    }

    /// All blocks that are in force, sorted by source.
    package func blocks() -> [Block] {
        state.withLock { state in
            guard let writer = writerLocked(state) else { return [] }
            let entries = entries(of: writer)
            return entries.filter { !$0.isExpired }.map(\.block).sorted {
                $0.source.base < $1.source.base
            }
        }
    }

    /// A block and where it lies.
    private struct Entry {
        var map: KernelMap
        var key: [UInt8]
        var block: Block
        var isExpired: Bool
    }

    private func entries(of writer: BlockWriter) -> [Entry] {
        let clocks = BlockRecord.Clocks.now()
        var entries: [Entry] = []
        for (map, isPrefix) in [(writer.blocks, false), (writer.blockPrefixes, true)] {
            for key in (try? map.keys()) ?? [] {
                guard let value = (try? map.value(key)) ?? nil,
                    let block = BlockRecord.block(
                        key: key,
                        value: value,
                        isPrefix: isPrefix,
                        clocks: clocks
                    )
                else { continue }
                let isExpired = BlockRecord.isExpired(
                    value: value,
                    monotonicNanoseconds: clocks.monotonicNanoseconds
                )
                entries.append(Entry(map: map, key: key, block: block, isExpired: isExpired))
            }
        }
        return entries
    }

    private func removeBlocks(
        where isWanted: (Block, _ isExpired: Bool) -> Bool
    ) throws(BlockRefusal) -> [Block] {
        let result = state.withLock { state -> Result<[Block], BlockRefusal> in
            guard let writer = writerLocked(state) else { return .failure(.off) }
            guard writer.isCurrent() else { return .failure(.superseded) }
            var removed: [Block] = []
            for entry in entries(of: writer) where isWanted(entry.block, entry.isExpired) {
                guard remove(entry, isSweep: entry.isExpired) else { continue }
                removed.append(entry.block)
            }
            noteScopes(removed, &state)
            return .success(removed)
        }
        return try result.get()
    }

    /// A worker may renew a block between our look and our removal: what was renewed goes back.
    private func remove(_ entry: Entry, isSweep: Bool) -> Bool {
        guard entry.block.source.isHost else { return (try? entry.map.remove(entry.key)) ?? false }
        guard let value = (try? entry.map.takeOut(entry.key)) ?? nil else { return false }
        let now = Clock.monotonicNanoseconds()
        guard isSweep, !BlockRecord.isExpired(value: value, monotonicNanoseconds: now) else {
            return true
        }
        try? entry.map.update(entry.key, value)
        return false
    }
}

extension SourceCounters {
    /// What was seen of a source; `nil` when nothing, or when it was forgotten for others.
    package func observation(of source: IPAddress) -> SourceObservation? {
        let key = Layout.bytes(of: source.meshAddress)
        guard let value = (try? sources.value(key)) ?? nil,
            let record = Layout.value(value, as: mesh_source.self)
        else { return nil }
        return SourceObservation(
            packetCount: record.seen.packets,
            byteCount: record.seen.bytes,
            dropCount: record.drops,
            synCount: record.syns
        )
    }
}
