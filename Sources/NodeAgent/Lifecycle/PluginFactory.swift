import DataPlane
import MeshModel

/// Makes filter chains where no plugin is registered: every plugin is unknown, and what it is
/// attached to answers 500.
struct PluginFactory: FilterFactory {
    func chains(for lists: [[PluginBinding]], worker: Int) -> [FilterChain] {
        lists.map { list in
            let names = list.map(\.name).joined(separator: ", ")
            return FilterChain([], fault: list.isEmpty ? nil : "no plugin of this name: \(names)")
        }
    }
}
