import PluginRuntime
import Testing

@testable import NodeAgent

/// How one limit of `/config` is tripped, once.
struct LimitCase: Sendable, CustomTestStringConvertible {
    let name: String
    /// Where the count is read: outside at `/config`, or in the registry, for what happens when
    /// the endpoint is not there.
    var isReadInside = false
    /// Whether the agent runs.
    var isStarted = true
    var registry = PluginRegistry.shipped
    var tighten: @Sendable (inout AgentLimits) -> Void = { _ in }
    var configure: @Sendable (inout AgentConfiguration, LimitRig.Places) -> Void = { _, _ in }
    var manifests: @Sendable (LimitRig.Places) -> [String: String] = {
        ["web": LimitManifests.web($0)]
    }
    /// Before the agent is made; what it returns stays open as long as the rig.
    var prepare: (@Sendable (LimitRig.Places) throws -> LimitRig.Held?)?
    let trip: @Sendable (LimitRig) throws -> Void

    var testDescription: String { name }

    /// Every case.
    static let all =
        http + httpTimes + proxyProtocol + bodies + tls + http2 + filters + routing + relay + blocks
        + control + status
        + documents + packetLayer
}
