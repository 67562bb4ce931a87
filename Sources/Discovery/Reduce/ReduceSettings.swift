import Addressing
import MeshModel

/// What reducing needs to know besides the objects.
package struct ReduceSettings: Sendable {
    /// This node's name.
    package var nodeName: String
    /// Whether objects come from a directory: pods without a node are then this node's.
    package var isManifestMode: Bool
    /// Says why a plugin's configuration is refused; `nil` when it is valid.
    package var validatePlugin: @Sendable (String, JSONValue) -> String?
    /// Says why a consumer's credential is refused; `nil` when it is valid.
    package var validateCredential: @Sendable (String, JSONValue) -> String?

    /// Makes settings.
    package init(
        nodeName: String,
        isManifestMode: Bool,
        validatePlugin: @escaping @Sendable (String, JSONValue) -> String? = { _, _ in nil },
        validateCredential: @escaping @Sendable (String, JSONValue) -> String? = { _, _ in nil }
    ) {
        self.nodeName = nodeName
        self.isManifestMode = isManifestMode
        self.validatePlugin = validatePlugin
        self.validateCredential = validateCredential
    }

    /// Why plugins refuse what an object configures for them; `nil` when they do not.
    package func rejection(of object: KubernetesObject) -> String? {
        let reasons: [String]
        switch object.content {
        case .filterPolicy(let content): reasons = faults(content.filters, validatePlugin)
        case .consumer(let content):
            reasons =
                faults(content.auth, validateCredential) + faults(content.filters, validatePlugin)
        default: return nil
        }
        return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
    }

    private func faults(
        _ bindings: [PluginBinding],
        _ validate: (String, JSONValue) -> String?
    ) -> [String] {
        bindings.compactMap { binding in
            validate(binding.name, binding.configuration).map { "\(binding.name): \($0)" }
        }
    }
}
