import LinuxSystem
import Synchronization
import TestSupport
import Testing

@Suite(.serialized) struct DirectoryWatchTests {
    private final class Calls: Sendable {
        let count = Atomic<Int>(0)

        /// Waits for a call after the first `known`.
        func isCalled(beyond known: Int) -> Bool {
            for _ in 0..<500 {
                if count.load(ordering: .acquiring) > known { return true }
                RawThread.sleep(milliseconds: 10)
            }
            return false
        }
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path = "/tmp/\(Command.uniqueName("martlet-watch"))"
        try FileSystem.makeDirectories(path)
        defer { Command.run("rm -rf \(path) \(path).away") }
        try body(path)
    }

    private func watch(_ path: String, _ calls: Calls) throws -> DirectoryWatch {
        try DirectoryWatch(path: path) { calls.count.add(1, ordering: .acquiringAndReleasing) }
    }

    @Test func changesOfFilesAreToldOf() throws {
        try withDirectory { path in
            let calls = Calls()
            let watch = try watch(path, calls)
            try FileSystem.replace("\(path)/a", with: [1])
            #expect(calls.isCalled(beyond: 0))
            let known = calls.count.load(ordering: .acquiring)
            _ = try FileSystem.remove("\(path)/a")
            #expect(calls.isCalled(beyond: known))
            withExtendedLifetime(watch) {}
        }
    }

    @Test(arguments: ["rm -r PATH; mkdir PATH", "mv PATH PATH.away; mkdir PATH"])
    func aDirectoryMadeAnewIsWatchedAgain(_ act: String) throws {
        try withDirectory { path in
            let calls = Calls()
            let watch = try watch(path, calls)
            Command.run(act.replacing("PATH", with: path))
            #expect(calls.isCalled(beyond: 0))
            // Give the search its turn: from then on the new directory's files count.
            RawThread.sleep(milliseconds: 500)
            let known = calls.count.load(ordering: .acquiring)
            try FileSystem.replace("\(path)/b", with: [1])
            #expect(calls.isCalled(beyond: known))
            withExtendedLifetime(watch) {}
        }
    }

    @Test func theThreadEndsWithTheWatch() throws {
        try withDirectory { path in
            weak var held: Calls?
            var watch: DirectoryWatch?
            do {
                // The thread alone holds the callback, and what the callback holds.
                let calls = Calls()
                held = calls
                watch = try self.watch(path, calls)
            }
            #expect(held != nil)
            withExtendedLifetime(watch) {}
            watch = nil
            for _ in 0..<500 where held != nil { RawThread.sleep(milliseconds: 10) }
            #expect(held == nil)
        }
    }
}
