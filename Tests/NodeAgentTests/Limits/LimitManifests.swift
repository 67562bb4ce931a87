/// Manifests of the limits' tests.
enum LimitManifests {
    static let gatewayClass = """
        apiVersion: gateway.networking.k8s.io/v1
        kind: GatewayClass
        metadata: { name: martlet }
        spec: { controllerName: martlet.mesh/node-agent }
        """

    static func gateway(_ listeners: String, name: String = "g") -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: \(name), namespace: d }
        spec:
          gatewayClassName: martlet
          addresses: [{ type: IPAddress, value: 127.0.0.1 }]
          listeners: \(listeners)
        ---

        """
    }

    static func service(_ name: String, _ ports: [UInt16]) -> String {
        let slices = ports.enumerated().map { index, port in
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata:
              name: \(name)-\(index)
              namespace: d
              labels: { kubernetes.io/service-name: \(name) }
            addressType: IPv4
            ports: [{ name: p, port: \(port), protocol: TCP }]
            endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
            ---

            """
        }
        return """
            apiVersion: v1
            kind: Service
            metadata: { name: \(name), namespace: d }
            spec: { ports: [{ name: p, port: 80, protocol: TCP }] }
            ---

            """ + slices.joined()
    }

    static func route(_ rules: String, kind: String = "HTTPRoute") -> String {
        let version = kind == "TCPRoute" ? "v1alpha2" : "v1"
        return """
            apiVersion: gateway.networking.k8s.io/\(version)
            kind: \(kind)
            metadata: { name: r-\(kind == "TCPRoute" ? "raw" : "web"), namespace: d }
            spec:
              parentRefs: [{ name: g }]
              rules: \(rules)
            ---

            """
    }

    /// One HTTP listener whose one route leads to the endpoint.
    static func web(_ places: LimitRig.Places) -> String {
        web(places, to: [places.endpoint])
    }

    static func web(
        _ places: LimitRig.Places,
        to ports: [UInt16],
        _ more: String = ""
    ) -> String {
        let rule = "[{ backendRefs: [{ name: s, port: 80 }]\(more) }]"
        return gateway("[{ name: w, port: \(places.web), protocol: HTTP }]")
            + service("s", ports) + route(rule)
    }

    /// One TCP listener.
    static func raw(_ places: LimitRig.Places, to port: UInt16) -> String {
        gateway("[{ name: t, port: \(places.raw), protocol: TCP }]") + service("s", [port])
            + route("[{ backendRefs: [{ name: s, port: 80 }] }]", kind: "TCPRoute")
    }

    static func policy(_ name: String, _ spec: String) -> String {
        """
        apiVersion: martlet.mesh/v1alpha1
        kind: SourcePolicy
        metadata: { name: \(name), namespace: d }
        spec: \(spec)
        ---

        """
    }

    static func plugin(_ filters: String) -> String {
        """
        apiVersion: htnn.mosn.io/v1
        kind: FilterPolicy
        metadata: { name: f, namespace: d }
        spec:
          targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, name: r-web }
          filters: \(filters)
        ---

        """
    }
}
