import DataPlane
import MeshModel

/// The plugins there are, by name.
package struct PluginRegistry: Sendable {
    private let definitions: [String: any PluginDefinition]

    /// Makes a registry; of two plugins of one name the later one counts.
    package init(_ definitions: [any PluginDefinition]) {
        self.definitions = Dictionary(definitions.map { ($0.name, $0) }) { $1 }
    }

    /// The plugins that ship with Martlet.
    package static let shipped = PluginRegistry([
        KeyAuth(), SourceGuard(), Compressor(), Decompressor(), GRPCWeb(),
    ])

    /// A plugin by name.
    package subscript(name: String) -> (any PluginDefinition)? { definitions[name] }

    /// All names, sorted.
    package var names: [String] { definitions.keys.sorted() }

    /// Why a configuration is refused; `nil` when it is valid.
    package func fault(of name: String, _ configuration: JSONValue) -> String? {
        guard let definition = definitions[name] else {
            return "no plugin of this name; there are \(names.joined(separator: ", "))"
        }
        do throws(PluginFault) {
            try definition.validate(configuration)
            return nil
        } catch {
            return error.reason
        }
    }

    /// Why a Consumer's credential is refused; `nil` when it is valid.
    package func credentialFault(of name: String, _ credential: JSONValue) -> String? {
        guard let definition = definitions[name], definition.isConsumerPlugin else {
            return "\(name) is no consumer plugin"
        }
        do throws(PluginFault) {
            try definition.validateCredential(credential)
            return nil
        } catch {
            return error.reason
        }
    }

    /// Bindings in order of execution.
    func sorted(_ bindings: [PluginBinding]) -> [PluginBinding] {
        bindings.sorted {
            let left = definitions[$0.name]?.order ?? PluginOrder(.unspecified, name: $0.name)
            let right = definitions[$1.name]?.order ?? PluginOrder(.unspecified, name: $1.name)
            return left < right
        }
    }
}
