import LinuxSystem

/// Where a node's maps and links are pinned: `<root>/<node>/v<layout>/`.
struct PinDirectory: Equatable, Sendable {
    var root: String
    var node: String
    var layout: Int

    /// The node's folder.
    var nodePath: String { "\(root)/\(PinDirectory.escaped(node))" }
    /// The folder of this layout.
    var path: String { "\(nodePath)/v\(layout)" }

    func mapPath(_ name: String) -> String { "\(path)/map_\(name)" }
    func linkPath(interface: String) -> String {
        "\(path)/link_\(PinDirectory.escaped(interface))"
    }

    /// The kernel keeps names with dots to itself; percent signs are in neither names of nodes nor,
    /// in practice, of interfaces.
    static func escaped(_ name: String) -> String {
        name.split(separator: ".", omittingEmptySubsequences: false).joined(separator: "%2e")
    }

    static func unescaped(_ name: String) -> String {
        var parts: [String] = []
        var rest = name[...]
        while let range = rest.firstRange(of: "%2e") {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return (parts + [String(rest)]).joined(separator: ".")
    }

    /// Makes the folders, mounting a BPF file system if there is none: at `/sys/fs/bpf` for paths
    /// below it, else at the root itself.
    func prepare() throws(Errno) {
        let standard = "/sys/fs/bpf"
        if root == standard || root.hasPrefix(standard + "/") {
            if !FileSystem.isOnBPFFileSystem(standard) {
                try FileSystem.mountBPFFileSystem(at: standard)
            }
        } else {
            try FileSystem.makeDirectories(root)
            if !FileSystem.isOnBPFFileSystem(root) {
                try FileSystem.mountBPFFileSystem(at: root)
            }
        }
        try FileSystem.makeDirectories(path, mode: 0o700)
    }

    /// Layouts that have a folder, this one left out.
    func otherLayouts() -> [Int] {
        let names = (try? FileSystem.names(in: nodePath)) ?? []
        return names.compactMap { $0.hasPrefix("v") ? Int($0.dropFirst()) : nil }
            .filter { $0 != layout }
    }

    /// The same node's folder of another layout.
    func with(layout: Int) -> PinDirectory {
        PinDirectory(root: root, node: node, layout: layout)
    }

    /// Interfaces that have a pinned link here.
    func linkedInterfaces() -> [String] {
        let names = (try? FileSystem.names(in: path)) ?? []
        return names.filter { $0.hasPrefix("link_") }
            .map { PinDirectory.unescaped(String($0.dropFirst("link_".count))) }
    }

    /// Takes the shield off an interface and removes its pin. Nothing there is no error.
    func removeLink(interface: String) throws(Errno) {
        let path = linkPath(interface: interface)
        try? KernelLink.open(pinnedAt: path).detach()
        try FileSystem.remove(path)
    }

    /// Removes every pin of this layout and the folder; programs stay on their interfaces where
    /// another pin holds them.
    func removeAll() throws(Errno) {
        guard FileSystem.kind(of: path) != nil else { return }
        for name in try FileSystem.names(in: path) {
            try FileSystem.remove("\(path)/\(name)")
        }
        try FileSystem.removeDirectory(path)
    }
}
