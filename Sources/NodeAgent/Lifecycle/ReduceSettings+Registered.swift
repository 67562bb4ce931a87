import Discovery
import PluginRuntime

extension ReduceSettings {
    /// Settings that have plugins' configurations validated by the plugins that ship.
    static func registered(nodeName: String, isManifestMode: Bool) -> ReduceSettings {
        let registry = PluginRegistry.shipped
        return ReduceSettings(
            nodeName: nodeName,
            isManifestMode: isManifestMode,
            validatePlugin: { registry.fault(of: $0, $1) },
            validateCredential: { registry.credentialFault(of: $0, $1) }
        )
    }
}
