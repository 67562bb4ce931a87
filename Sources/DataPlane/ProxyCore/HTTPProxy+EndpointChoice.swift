import Addressing

/// Which endpoint gets a request.
extension HTTPProxy {
    @inline(__always)
    func chooseEndpoint(_ cluster: Int32) -> EngineEndpoint? {
        guard Int(cluster) < view.clusters.count else { return nil }
        let row = view.clusters[Int(cluster)]
        let count = UInt32(row.endpoints.count)
        guard count > 0 else { return nil }
        let first = Int(row.endpoints.first)
        guard row.usesLeastLoaded && count > 1 else {
            return view.endpoints[first + Int(endpoints.nextTurn(cluster) % count)]
        }
        let one = random.next(below: count)
        var other = random.next(below: count - 1)
        if other >= one { other += 1 }
        let left = view.endpoints[first + Int(one)]
        let right = view.endpoints[first + Int(other)]
        return load(left) <= load(right) ? left : right
    }

    private func load(_ endpoint: EngineEndpoint) -> UInt32 {
        let state = endpoints[endpoint.slot]
        return state.generation == endpoint.generation ? state.activeCount : 0
    }

    /// Makes the slot's state this endpoint's: what an earlier owner left is closed.
    @inline(__always)
    func own(_ endpoint: EngineEndpoint) {
        guard !endpoints.isOwned(endpoint.slot, by: endpoint.generation) else { return }
        dropIdle(endpoint.slot)
        endpoints[endpoint.slot] = EndpointState(generation: endpoint.generation)
    }
}
