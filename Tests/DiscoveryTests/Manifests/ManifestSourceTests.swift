import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Discovery

@Suite struct ManifestSourceTests {
    private let route = ObjectKey(.httpRoute, namespace: "shop", name: "cart")

    private func replacing(_ old: String, _ new: String) -> String {
        ManifestFixture.base.split(separator: old).joined(separator: new)
    }

    @Test func aFileThatDoesNotParseKeepsItsObjects() async throws {
        try await ManifestFixture.withDirectory { path in
            var store = ObjectStore()
            var directory = ManifestDirectory(path: path)
            try ManifestFixture.write(ManifestFixture.base, to: "\(path)/a.yaml")
            try directory.refresh(&store)
            let keys = store.keys
            #expect(keys.count == 5)
            try ManifestFixture.write("a: [", to: "\(path)/a.yaml")
            try directory.refresh(&store)
            #expect(store.keys == keys)
            #expect(directory.faults.count == 1)
            try FileSystem.remove("\(path)/a.yaml")
            try directory.refresh(&store)
            #expect(store.keys.isEmpty)
        }
    }

    @Test func generationsCountSpecsAndVersionsFollowContent() async throws {
        try await ManifestFixture.withDirectory { path in
            var store = ObjectStore()
            var directory = ManifestDirectory(path: path)
            try ManifestFixture.write(ManifestFixture.base, to: "\(path)/a.yaml")
            try directory.refresh(&store)
            let first = store[route]?.meta
            try ManifestFixture.write(ManifestFixture.base + "\n", to: "\(path)/a.yaml")
            try directory.refresh(&store)
            let second = store[route]?.meta
            #expect(first?.generation == 1)
            #expect(second?.generation == 1)
            #expect(first?.resourceVersion != second?.resourceVersion)
            try ManifestFixture.write(replacing("/cart/", "/new/"), to: "\(path)/a.yaml")
            try directory.refresh(&store)
            #expect(store[route]?.meta.generation == 2)
        }
    }

    /// Ways in which people and programs change a file.
    enum Change: CaseIterable {
        case writeInPlace
        case renameOver
        case swapLink
    }

    @Test(.timeLimit(.minutes(1)), arguments: Change.allCases)
    func changesAreSeen(change: Change) async throws {
        try await ManifestFixture.withDirectory { path in
            let watched = "\(path)/watched"
            Command.run("mkdir '\(path)/one' '\(path)/two' '\(watched)'")
            let changed = replacing(
                "HTTPRoute\nmetadata: { name: cart",
                "HTTPRoute\nmetadata: { name: till"
            )
            try ManifestFixture.write(ManifestFixture.base, to: "\(path)/one/a.yaml")
            try ManifestFixture.write(changed, to: "\(path)/two/a.yaml")
            Command.run("ln -s ../one '\(watched)/..data'")
            if change == .swapLink {
                Command.run("ln -s ..data/a.yaml '\(watched)/a.yaml'")
            } else {
                Command.run("cp '\(path)/one/a.yaml' '\(watched)/a.yaml'")
            }
            let source = ManifestSource(path: watched, settings: ManifestFixture.settings)
            var snapshots = await source.start().makeAsyncIterator()
            let first = await snapshots.next()
            #expect(first?.0.httpRoutes.keys.map(\.name) == ["cart"])
            switch change {
            case .writeInPlace: Command.run("cat '\(path)/two/a.yaml' > '\(watched)/a.yaml'")
            case .renameOver: Command.run("mv '\(path)/two/a.yaml' '\(watched)/a.yaml'")
            case .swapLink:
                Command.run("cd '\(watched)' && ln -s ../two ..new && mv -T ..new ..data")
            }
            while let (next, _) = await snapshots.next() {
                if next.httpRoutes.keys.map(\.name) == ["till"] { break }
            }
            let current = await source.current
            #expect(current.httpRoutes.keys.map(\.name) == ["till"])
        }
    }
}
