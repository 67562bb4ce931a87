import Addressing
import DataPlane
import LinuxSystem
import MeshModel
import Telemetry
import TrafficPolicy
import XDPEngine

import enum XDPEngine.BlockRefusal

/// The books of all blocks: takes operators' wishes, hears of plugins', lifts them, and tells who
/// enforces what.
actor BlockService {
    private let engine: XDPEngine
    /// Blocks in the books that the packet layer does not hold.
    private let userspaceMax: Int
    private let desks: [LoopBound<VerdictDesk>]
    private var neverList = NeverList()
    private var userspace: [Block] = []

    /// Makes the service.
    ///
    /// - Parameters:
    ///   - desks: one a worker.
    init(engine: XDPEngine, desks: [LoopBound<VerdictDesk>], userspaceMax: Int) {
        self.engine = engine
        self.userspaceMax = userspaceMax
        self.desks = desks
    }

    /// Puts a snapshot's settings in force on every worker.
    func install(_ settings: VerdictDesk.Settings) async {
        neverList = settings.neverList
        for desk in desks { _ = await desk.perform { $0.install(settings) } }
    }

    /// Hands what an earlier agent pinned to the workers' own tables.
    func restore() async {
        for block in engine.blocks() { await tellDesks { $0.add(block) } }
    }

    /// Blocks a source at node scope in the operator's name; the never-list binds operators too.
    func add(_ source: IPPrefix, ttl: Duration, reason: String) async -> OperatorBlockOutcome {
        if let reason = neverList.reason(for: source) {
            return .refused("expected a source that may be blocked, found \(source): \(reason)")
        }
        let now = Clock.wallNanoseconds()
        var block = Block(
            source: source,
            scope: .node,
            reason: reason,
            owner: .operator,
            sinceNanoseconds: now,
            expiryNanoseconds: now + ttl.wholeNanoseconds
        )
        do throws(BlockRefusal) {
            try engine.addBlock(block)
            block.enforcedAt.append(.xdp)
        } catch .off {
            block.enforcedAt = []
        } catch {
            return .refused("expected to block \(source), found \(error)")
        }
        block.enforcedAt.append(.userspace)
        await note(block)
        return .done
    }

    /// Takes a block into the books that a worker or an operator made.
    func note(_ block: Block) async {
        sweep()
        userspace.removeAll { $0.source == block.source && $0.scope == block.scope }
        if !block.enforcedAt.contains(.xdp), userspace.count < userspaceMax {
            userspace.append(block)
        }
        await tellDesks { $0.add(block) }
    }

    /// Lifts every block of a source. One that the packet layer could not lift still holds: that is
    /// refused with the reason, and nothing is forgotten.
    func remove(_ source: IPPrefix) async -> OperatorBlockOutcome {
        var isFound = false
        do throws(BlockRefusal) {
            let lifted = try engine.removeBlock(source: source)
            isFound = !lifted.isEmpty
        } catch .off {
            // Blocks are in user space alone.
        } catch {
            return .refused("expected to lift the blocks of \(source), found \(error)")
        }
        let known = userspace.count
        userspace.removeAll { $0.source == source }
        if userspace.count < known { isFound = true }
        await tellDesks { $0.remove(source) }
        return isFound ? .done : .absent
    }

    /// Forgets what is over; to be called about once a second.
    func sweep() {
        engine.sweep()
        let now = Clock.wallNanoseconds()
        userspace.removeAll { $0.expiryNanoseconds <= now }
    }

    /// Every block in force, with packets and connections it dropped.
    func blocks() async -> [Block] {
        sweep()
        var all = engine.blocks().map { block in
            var block = block
            block.enforcedAt = [.xdp, .userspace]
            return block
        }
        all += userspace
        for index in all.indices {
            let source = all[index].source
            let scope = all[index].scope
            for desk in desks {
                let count = await desk.perform { $0.refusedCount(source, scope) }
                all[index].packetCount += count ?? 0
            }
        }
        return all
    }

    private func tellDesks(_ body: @escaping @Sendable (VerdictDesk) -> Void) async {
        for desk in desks { _ = await desk.perform(body) }
    }
}
