import Addressing
import MeshModel

/// Makes a snapshot of a store: a pure function of its objects, whatever order they came in.
package struct SnapshotReducer {
    let store: ObjectStore
    let settings: ReduceSettings
    /// Addresses of the names of ExternalName Services, as they are known.
    let names: [String: [IPAddress]]
    var snapshot = MeshSnapshot()
    var conditions: [ObjectKey: [Condition]] = [:]
    var refusals: [ObjectKey: String] = [:]
    /// Why a cluster must not be used without what a policy was to set.
    var clusterFaults: [ClusterID: String] = [:]
    /// ConfigMaps that something refers to; of others nothing is shown.
    var usedConfigMaps: Set<ObjectKey> = []

    /// Reduces a store to a snapshot of version 0; whoever delivers it numbers it.
    package static func reduce(
        _ store: ObjectStore,
        _ settings: ReduceSettings,
        names: [String: [IPAddress]] = [:]
    ) -> MeshSnapshot {
        var reducer = SnapshotReducer(store: store, settings: settings, names: names)
        reducer.reduceServices()
        reducer.reducePods()
        reducer.reducePolicies()
        reducer.reduceBackendPolicies()
        reducer.reduceGateways()
        reducer.reduceRecords()
        return reducer.snapshot
    }

    private init(
        store: ObjectStore,
        settings: ReduceSettings,
        names: [String: [IPAddress]]
    ) {
        self.names = names
        self.store = store
        self.settings = settings
        snapshot.nodeName = settings.nodeName
    }

    // MARK: Services

    private mutating func reduceServices() {
        var slices: [ObjectKey: [EndpointSliceContent]] = [:]
        for object in store.sorted(.endpointSlice) {
            guard case .endpointSlice(let slice) = object.content else { continue }
            let key = ObjectKey(
                .service,
                namespace: object.key.namespace,
                name: slice.serviceName
            )
            slices[key, default: []].append(slice)
        }
        for object in store.sorted(.endpoints) {
            guard case .endpoints(let subsets) = object.content else { continue }
            let key = ObjectKey(
                .service,
                namespace: object.key.namespace,
                name: object.key.name
            )
            if slices[key] == nil { slices[key] = subsets }
        }
        for object in store.sorted(.service) {
            guard case .service(let content) = object.content else { continue }
            add(object.key, content, slices[object.key] ?? [])
        }
        for object in store.sorted(.node) {
            guard case .node(let addresses) = object.content else { continue }
            let zone = object.meta.labels["topology.kubernetes.io/zone"] ?? ""
            snapshot.nodes.append(Node(name: object.key.name, addresses: addresses, zone: zone))
        }
    }

    private mutating func add(
        _ key: ObjectKey,
        _ content: ServiceContent,
        _ slices: [EndpointSliceContent]
    ) {
        var ports: [Service.Port] = []
        for port in content.ports where port.isTCP {
            let id = ClusterID(namespace: key.namespace, name: key.name, port: port.number)
            let appProtocol = ServiceProtocol.of(port)
            snapshot.clusters[id] = Cluster(
                id: id,
                appProtocol: appProtocol,
                endpoints: content.externalName.isEmpty
                    ? EndpointMerge.merge(slices, port, content)
                    : EndpointMerge.named(names[content.externalName] ?? [], port),
                isNamed: !content.externalName.isEmpty
            )
            ports.append(
                Service.Port(
                    number: port.number,
                    name: port.name,
                    cluster: id,
                    appProtocol: appProtocol
                )
            )
        }
        for slice in slices {
            for endpoint in slice.endpoints where !endpoint.podUID.isEmpty {
                snapshot.podAddresses.formUnion(endpoint.addresses)
            }
        }
        guard content.type != "ExternalName" else { return }
        snapshot.services[key] = Service(key: key, clusterIPs: content.clusterIPs, ports: ports)
    }

    // MARK: Pods

    private mutating func reducePods() {
        for object in store.sorted(.pod) {
            guard case .pod(let content) = object.content, !content.isEnded else { continue }
            if !content.isHostNetwork { snapshot.podAddresses.formUnion(content.addresses) }
            let isOurs =
                content.nodeName == settings.nodeName
                || (settings.isManifestMode && content.nodeName.isEmpty)
            guard isOurs else { continue }
            let namespace = store[ObjectKey(.namespace, name: object.key.namespace)]
            let workload = WorkloadReducer.reduce(object, content, namespace)
            if case .refused(let reason) = workload.capture { refusals[object.key] = reason }
            snapshot.workloads[object.key] = workload
        }
    }

    // MARK: Policies and consumers

    private mutating func reducePolicies() {
        for object in store.sorted(.sourcePolicy) {
            guard case .sourcePolicy(let policy) = object.content else { continue }
            snapshot.sourcePolicies[object.key] = policy
            conditions[object.key] = [.accepted()]
        }
        var names: [String: ObjectKey] = [:]
        for object in store.sorted(.consumer) {
            guard case .consumer(let content) = object.content else { continue }
            let unique = "\(object.key.namespace)/\(content.name)"
            if let other = names[unique] {
                refuse(object.key, "Invalid", "duplicate of \(other): both are \"\(content.name)\"")
                continue
            }
            names[unique] = object.key
            conditions[object.key] = [.accepted()]
            snapshot.consumers[object.key] = Consumer(
                key: object.key,
                name: content.name,
                auth: content.auth,
                filters: content.filters
            )
        }
    }

    mutating func refuse(_ key: ObjectKey, _ reason: String, _ message: String) {
        conditions[key] = [
            Condition(type: "Accepted", status: .no, reason: reason, message: message)
        ]
        refusals[key] = message
    }

    // MARK: Records

    /// The Gateway API's word for a spec that is refused.
    private static func refusalReason(_ kind: ObjectKind) -> String {
        switch kind {
        case .httpRoute, .grpcRoute, .tcpRoute: "UnsupportedValue"
        case .gatewayClass: "InvalidParameters"
        case .namespace, .node, .service, .endpointSlice, .endpoints, .pod, .secret, .configMap,
            .gateway, .referenceGrant, .filterPolicy, .consumer, .sourcePolicy, .listenerPolicy,
            .backendPolicy, .backendTLSPolicy:
            "Invalid"
        }
    }

    private mutating func reduceRecords() {
        for (key, stored) in store.objects {
            // A cluster has many ConfigMaps that change often and matter to nobody here.
            if key.kind == .configMap && !usedConfigMaps.contains(key) { continue }
            var record = stored.record
            record.conditions = conditions[key] ?? []
            if case .refused(let reason, _) = record.acceptance {
                record.conditions.insert(
                    Condition(
                        type: "Accepted",
                        status: .no,
                        reason: SnapshotReducer.refusalReason(key.kind),
                        message: reason
                    ),
                    at: 0
                )
            }
            if let reason = refusals[key], record.acceptance == .accepted {
                record.acceptance = .refused(reason: reason, servesEarlierVersion: false)
            }
            snapshot.objects[key] = record
        }
    }
}

extension Condition {
    /// `Accepted` is true.
    static func accepted(subject: String = "") -> Condition {
        Condition(subject: subject, type: "Accepted", status: .yes, reason: "Accepted")
    }

    /// `ResolvedRefs` is true.
    static func resolved(subject: String) -> Condition {
        Condition(subject: subject, type: "ResolvedRefs", status: .yes, reason: "ResolvedRefs")
    }
}

/// What a Service port speaks.
enum ServiceProtocol {
    /// appProtocol, then the port's name, else TCP (KEP-3726).
    static func of(_ port: ServiceContent.Port) -> AppProtocol {
        switch port.appProtocol {
        case "http", "kubernetes.io/ws": return .http
        case "kubernetes.io/h2c", "grpc": return .http2
        case "": break
        default: return .tcp
        }
        if port.name == "http" || port.name.hasPrefix("http-") { return .http }
        if port.name == "http2" || port.name.hasPrefix("http2-") || port.name == "grpc"
            || port.name.hasPrefix("grpc-")
        {
            return .http2
        }
        return .tcp
    }
}

/// Unites all slices of a Service for one of its ports.
enum EndpointMerge {
    static func merge(
        _ slices: [EndpointSliceContent],
        _ port: ServiceContent.Port,
        _ service: ServiceContent
    ) -> [Endpoint] {
        var found: [SocketAddress: Endpoint] = [:]
        for slice in slices {
            for slicePort in slice.ports where slicePort.name == port.name {
                guard let number = slicePort.number else { continue }
                for endpoint in slice.endpoints {
                    add(endpoint, number, service.publishesNotReady, &found)
                }
            }
        }
        return found.values.sorted {
            ($0.address.ip, $0.address.port) < ($1.address.ip, $1.address.port)
        }
    }

    /// The endpoints of a name's addresses.
    static func named(_ addresses: [IPAddress], _ port: ServiceContent.Port) -> [Endpoint] {
        addresses.sorted().map { Endpoint(address: SocketAddress($0, port.number)) }
    }

    private static func add(
        _ endpoint: EndpointSliceContent.Endpoint,
        _ port: UInt16,
        _ publishesNotReady: Bool,
        _ found: inout [SocketAddress: Endpoint]
    ) {
        guard let ip = endpoint.addresses.first else { return }
        let made = Endpoint(
            address: SocketAddress(ip, port),
            isReady: endpoint.isReady || publishesNotReady,
            isServing: endpoint.isServing || publishesNotReady,
            isTerminating: endpoint.isTerminating,
            nodeName: endpoint.nodeName,
            zone: endpoint.zone,
            podUID: endpoint.podUID,
            hintZones: endpoint.hintZones
        )
        guard let other = found[made.address] else {
            found[made.address] = made
            return
        }
        // The same address in two slices, as while it moves: the readier one counts.
        if made.isReady && !other.isReady { found[made.address] = made }
    }
}
