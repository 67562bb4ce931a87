import DataPlane
import MeshModel
import Synchronization

/// Makes filter chains of plugin lists and keeps every filter as long as its configuration stays.
package final class PluginRuntime: FilterFactory {
    /// The plugins there are.
    package let registry: PluginRegistry
    private let offences: OffenceTable
    /// How many bodies may be changed in passing at once.
    package let bodies: BodyBounds
    private let consumers = Mutex<[Consumer]>([])
    private let faults = Mutex<[String: String]>([:])

    /// Makes a runtime.
    ///
    /// - Parameters:
    ///   - offenceSourceMax: sources whose offences are remembered at once.
    ///   - bodyMax: bodies that a filter changes in passing at once, per worker.
    package init(
        registry: PluginRegistry = .shipped,
        offenceSourceMax: Int = 4_096,
        bodyMax: Int = 512
    ) {
        self.registry = registry
        bodies = BodyBounds(bodyMax: bodyMax)
        offences = OffenceTable(sourceMax: offenceSourceMax)
    }

    /// Takes the consumers of a snapshot; they are in force with the next chains.
    package func set(consumers found: [Consumer]) {
        consumers.withLock { $0 = found.sorted { $0.key < $1.key } }
    }

    /// What of the last lists is not valid, with the reason: configurations by `policy plugin`,
    /// credentials that another Consumer had before by `consumer plugin`.
    package var invalid: [String: String] { faults.withLock(\.self) }

    /// Offences that found the table full of newer ones.
    package var offenceEvictionCount: UInt64 { offences.evictionCount }

    /// Makes or reuses the chains of some lists; chains of consumers follow them.
    package func chains(
        for lists: [[PluginBinding]],
        worker: Int,
        store: FilterStore
    ) -> [FilterChain] {
        let host = PluginHost(offences: offences, bodies: bodies)
        var kept: [PluginBinding: Filter] = [:]
        var problems: [String: String] = [:]
        let known = consumers.withLock(\.self)
        let sorted = lists.map(registry.sorted)
        var all = sorted
        let chainsOfConsumers = extend(&all, sorted, known)
        let chains = all.map { list in
            chain(list, host, store, &kept, &problems)
        }
        host.consumers = ConsumerTable(known, chains: chainsOfConsumers)
        problems.merge(host.consumers.duplicates) { $1 }
        for filter in kept.values { (filter as? any ConsumerAware)?.host = host }
        store.filters = kept
        store.keepTallies(of: Set(kept.keys.map { PluginUse(name: $0.name, policy: $0.policy) }))
        if worker == 0 { faults.withLock { $0 = problems } }
        return chains
    }

    private func chain(
        _ list: [PluginBinding],
        _ host: PluginHost,
        _ store: FilterStore,
        _ kept: inout [PluginBinding: Filter],
        _ problems: inout [String: String]
    ) -> FilterChain {
        var filters: [Filter] = []
        var fault: String?
        for binding in list {
            if let filter = kept[binding] ?? store.filters[binding] {
                kept[binding] = filter
                filters.append(filter)
                continue
            }
            do throws(PluginFault) {
                guard let definition = registry[binding.name] else {
                    throw PluginFault("no plugin of this name")
                }
                let filter = try definition.makeFilter(binding, host)
                filter.tally = store.tally(
                    of: PluginUse(name: binding.name, policy: binding.policy)
                )
                kept[binding] = filter
                filters.append(filter)
            } catch {
                fault = "\(binding.policy) \(binding.name): \(error.reason)"
                problems["\(binding.policy) \(binding.name)"] = error.reason
            }
        }
        return FilterChain(filters, fault: fault)
    }

    /// Appends a list for every list that authenticates and every consumer with filters of its own.
    private func extend(
        _ all: inout [[PluginBinding]],
        _ lists: [[PluginBinding]],
        _ consumers: [Consumer]
    ) -> [Int32: [Int32: (chain: Int32, position: Int)]] {
        var table: [Int32: [Int32: (chain: Int32, position: Int)]] = [:]
        for (index, list) in lists.enumerated() {
            guard let last = list.lastIndex(where: { registry[$0.name]?.isConsumerPlugin ?? false })
            else { continue }
            for (number, consumer) in consumers.enumerated()
            where !consumer.filters.isEmpty && consumer.key.namespace == list[last].policy.namespace
            {
                let merged = registry.sorted(
                    EngineContribution.merge(list, overriddenBy: consumer.filters)
                )
                guard let position = merged.firstIndex(of: list[last]) else { continue }
                let chain = Int32(all.count)
                all.append(merged)
                table[Int32(index), default: [:]][Int32(number)] = (chain, position + 1)
            }
        }
        return table
    }
}

/// A filter that looks consumers up.
protocol ConsumerAware: AnyObject {
    /// What it uses besides its context.
    var host: PluginHost { get set }
}
