import Addressing
import Discovery
import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// Every way in which a manifest can be wrong, on a running agent: the offender alone is refused and
/// told, its last good version serves, and nothing else is touched.
@Suite(.serialized, .timeLimit(.minutes(4))) struct BadManifestTests {
    /// A bad version of the route of `bad.example.com`.
    struct Case: CustomTestStringConvertible, Sendable {
        /// What is wrong.
        var name: String
        /// The document in place of the good one.
        var text: String
        /// What `/objects` says, as reason or condition; `nil` where the file as a whole is at
        /// fault and `/status` tells it.
        var reason: String?
        /// What the route answers then, having been good before, and never having been good.
        var after: String
        var never: String

        var testDescription: String { name }

        init(_ name: String, _ text: String, _ reason: String?, after: String, never: String) {
            self.name = name
            self.text = text
            self.reason = reason
            self.after = after
            self.never = never
        }
    }

    private static func route(_ rule: String, more: String = "") -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: bad, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          hostnames: [bad.example.com]
        \(more)  rules:
          - \(rule)

        """
    }

    private static let good = route("backendRefs: [{ name: here, port: 80 }]")

    static let cases: [Case] = [
        Case("malformed", "apiVersion: [", nil, after: "200", never: "404"),
        Case("no mapping", "just text\n", nil, after: "200", never: "404"),
        Case("no kind", "apiVersion: v1\nmetadata: { name: x }\n", nil, after: "200", never: "404"),
        Case(
            "unknown key in a rule",
            route("{ backendRefs: [{ name: here, port: 80 }], color: red }"),
            "spec.rules[0].color: unknown key",
            after: "200",
            never: "500"
        ),
        Case(
            "unknown key in the spec",
            route("backendRefs: [{ name: here, port: 80 }]", more: "  color: red\n"),
            "spec.color: unknown key",
            after: "200",
            never: "500"
        ),
        Case(
            "wrong type of a port",
            route("backendRefs: [{ name: here, port: eighty }]"),
            "spec.rules[0].backendRefs[0].port: expected an integer of 1...65535, found \"eighty\"",
            after: "200",
            never: "500"
        ),
        Case(
            "a mapping where a list is due",
            route("backendRefs: { name: here }"),
            "spec.rules[0].backendRefs: expected a list, found a mapping",
            after: "200",
            never: "500"
        ),
        Case(
            "a session's cookie that is to stay for nobody knows how long",
            route("sessionPersistence: { cookieConfig: { lifetimeType: Permanent } }"),
            "spec.rules[0].sessionPersistence.absoluteTimeout: expected a time",
            after: "200",
            never: "500"
        ),
        Case(
            "a Service that is not there",
            route("backendRefs: [{ name: gone, port: 80 }]"),
            "Service shop/gone is not there",
            after: "500",
            never: "500"
        ),
        Case(
            "a port that the Service has not",
            route("backendRefs: [{ name: here, port: 81 }]"),
            "Service shop/here has no TCP port 81",
            after: "500",
            never: "500"
        ),
        Case(
            "a Service of another namespace without a grant",
            route("backendRefs: [{ name: here, namespace: other, port: 80 }]"),
            "no ReferenceGrant in other lets HTTPRoute shop/bad use Service other/here",
            after: "500",
            never: "500"
        ),
    ]

    private static let other = """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: other, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          hostnames: [other.example.com]
          rules: [{ backendRefs: [{ name: here, port: 80 }] }]
        """

    private func withAgent(_ body: (EdgeRig) throws -> Void) throws {
        let backend = try RunningFakeAPIServer()
        defer { backend.stop() }
        let plan = EdgeRig.Plan(
            backends: [backend.port],
            route: "",
            objects: Self.other,
            workers: 1,
            configuration: ""
        )
        try EdgeRig.run(plan, body)
    }

    private func status(_ rig: EdgeRig, _ host: String) -> String {
        rig.status("/api/v1/things", "-H 'Host: \(host)'")
    }

    @Test func theOffenderAloneIsRefusedAndItsLastGoodVersionServes() throws {
        try withAgent { try expectEachTold($0) }
    }

    private func expectEachTold(_ rig: EdgeRig) throws {
        let agent = rig.agent
        let request = { (host: String) in status(rig, host) }
        let isGone = { agent.object("HTTPRoute shop/bad") == nil }
        for bad in Self.cases {
            // Good, then bad.
            try agent.write("manifests/bad.yaml", Self.good)
            #expect(agent.waits { request("bad.example.com") == "200" && agent.faults.isEmpty })
            let others = agent.untouched
            try agent.write("manifests/bad.yaml", bad.text)
            try #require(agent.waits { agent.tells(bad.reason) }, "\(bad.name): \(agent.told)")
            #expect(agent.waits { request("bad.example.com") == bad.after }, "\(bad.name)")
            #expect(request("other.example.com") == "200", "\(bad.name)")
            #expect(agent.untouched == others, "\(bad.name)")
            // Never good.
            _ = Command.run("rm \(agent.directory)/manifests/bad.yaml")
            #expect(agent.waits { isGone() && request("bad.example.com") == "404" })
            try agent.write("manifests/bad.yaml", bad.text)
            try #require(agent.waits { agent.tells(bad.reason) }, "\(bad.name): \(agent.told)")
            #expect(agent.waits { request("bad.example.com") == bad.never }, "\(bad.name)")
            #expect(request("other.example.com") == "200", "\(bad.name)")
            let check = agent.martlet("check --manifests \(agent.directory)/manifests")
            #expect(check.status == 1, "\(bad.name): \(check.output)")
            #expect(check.output.contains("/manifests/bad.yaml:"), "\(check.output)")
            _ = Command.run("rm \(agent.directory)/manifests/bad.yaml")
        }
    }

    /// Of every other kind a good document, what is changed in it to make it bad, and the reason.
    static let kinds: [(object: String, good: String, from: String, to: String, reason: String)] = [
        (
            "GatewayClass spare",
            document(
                "gateway.networking.k8s.io/v1",
                "GatewayClass",
                "spec: { controllerName: martlet.mesh/node-agent }"
            ), "node-agent }", "node-agent, parametersRef: { name: p } }",
            "spec.parametersRef: expected none"
        ),
        (
            "Gateway shop/spare",
            document(
                "gateway.networking.k8s.io/v1",
                "Gateway",
                "spec: { gatewayClassName: none, listeners: [{ name: l, port: 9, protocol: HTTP }] }"
            ), "port: 9", "port: 90000", "spec.listeners[0].port: expected an integer of 1...65535"
        ),
        (
            "TCPRoute shop/spare",
            document(
                "gateway.networking.k8s.io/v1",
                "TCPRoute",
                "spec: { parentRefs: [{ name: none }], rules: [{ backendRefs: [] }] }"
            ), "rules: [", "rules: [{}, ", "spec.rules: expected one rule, found 2"
        ),
        (
            "ReferenceGrant shop/spare",
            document(
                "gateway.networking.k8s.io/v1",
                "ReferenceGrant",
                "spec: { from: [{ group: g, kind: K, namespace: n }], to: [{ group: '', kind: S }] }"
            ), "kind: S }", "kind: S, port: 1 }", "spec.to[0].port: unknown key"
        ),
        (
            "Service shop/spare",
            document("v1", "Service", "spec: { ports: [{ port: 80 }] }"), "port: 80",
            "port: '80'", "expected an integer"
        ),
        (
            "EndpointSlice shop/spare",
            document(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                "addressType: IPv4\nendpoints: [{ addresses: [10.0.0.1] }]"
            ), "10.0.0.1", "10.0.0.300", "expected an IP address, found \"10.0.0.300\""
        ),
        (
            "Pod shop/spare",
            document("v1", "Pod", "status: { podIPs: [{ ip: 10.0.0.5 }] }"), "10.0.0.5", "ten",
            "expected an IP address, found \"ten\""
        ),
        (
            "Secret shop/spare", document("v1", "Secret", "data: { a: YQ== }"), "YQ==", "'*'",
            "base64"
        ),
        (
            "Consumer shop/spare",
            document(
                "htnn.mosn.io/v1",
                "Consumer",
                "spec: { auth: { keyAuth: { config: { key: k } } } }"
            ), "keyAuth: { config: { key: k } }", "", "spec.auth: expected at least one credential"
        ),
        (
            "FilterPolicy shop/spare",
            document(
                "htnn.mosn.io/v1",
                "FilterPolicy",
                "spec: { targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, "
                    + "name: spare }, filters: { keyAuth: { config: { keys: [{ name: k }] } } } }"
            ), "keys:", "locks:", "keyAuth"
        ),
        (
            "SourcePolicy spare",
            document(
                "martlet.mesh/v1alpha1",
                "SourcePolicy",
                "spec: { deny: [{ source: 203.0.113.0/24 }] }"
            ), "203.0.113.0/24", "0.0.0.0/0",
            "spec.deny[0].source: expected less than every address"
        ),
    ]

    private static func document(_ version: String, _ kind: String, _ body: String) -> String {
        """
        apiVersion: \(version)
        kind: \(kind)
        metadata: { name: spare, namespace: shop, labels: { kubernetes.io/service-name: none } }
        \(body)

        """
    }

    @Test func ofEveryKindABadVersionIsToldAndTheGoodOneStands() throws {
        try withAgent { try expectEveryKindTold($0) }
    }

    private func expectEveryKindTold(_ rig: EdgeRig) throws {
        let agent = rig.agent
        for (name, good, from, to, reason) in Self.kinds {
            let route = name.hasPrefix("FilterPolicy") ? Self.spareRoute : ""
            try agent.write("manifests/bad.yaml", good + route)
            #expect(agent.waits { agent.object(name)?["accepted"] == .bool(true) }, "\(name)")
            try agent.write("manifests/bad.yaml", good.replacing(from, with: to) + route)
            #expect(agent.waits { agent.object(name)?["accepted"] == .bool(false) }, "\(name)")
            let object = agent.object(name)
            let told = object?["reason"]?.text ?? ""
            #expect(told.contains(reason), "\(name): \(told)")
            #expect(object?["servesEarlierVersion"] == .bool(true), "\(name)")
            #expect(status(rig, "other.example.com") == "200", "\(name)")
            #expect(agent.refused == [name], "\(name)")
        }
    }

    private static let spareRoute = """
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: spare, namespace: shop }
        spec: { parentRefs: [{ name: edge }], hostnames: [spare.example.com], rules: [{}] }
        """
}

extension AgentProcess {
    /// What the source says is wrong with files.
    fileprivate var faults: String {
        let text = ask("/status").split(separator: "\n").first.map(String.init) ?? ""
        return JSONText.parse(text)?["sources"]?.elements.first?["fault"]?.text ?? ""
    }

    /// What is said of the offender.
    fileprivate var told: String {
        let object = object("HTTPRoute shop/bad")
        let messages = object?["conditions"]?.elements.compactMap { $0["message"]?.text } ?? []
        return ([object?["reason"]?.text ?? "", faults] + messages).joined(separator: " | ")
    }

    /// Whether a reason is told at `/objects`; with `nil`, a fault of the file at `/status`.
    fileprivate func tells(_ reason: String?) -> Bool {
        guard let reason else { return faults.contains("/manifests/bad.yaml:") }
        return told.contains(reason)
    }

    /// Names of all objects that are refused.
    fileprivate var refused: [String] {
        let text = ask("/objects").split(separator: "\n").first.map(String.init) ?? ""
        let objects = JSONText.parse(text)?["objects"]?.elements ?? []
        return objects.filter { $0["accepted"] == .bool(false) }.compactMap { $0["object"]?.text }
    }

    /// Versions and conditions of every object but the offender.
    fileprivate var untouched: [String] {
        let text = ask("/objects").split(separator: "\n").first.map(String.init) ?? ""
        let objects = JSONText.parse(text)?["objects"]?.elements ?? []
        return objects.filter { $0["object"]?.text != "HTTPRoute shop/bad" }.map { "\($0)" }
    }
}
