import LinuxSystem
import MeshModel
import Testing

@testable import Discovery

/// What is kept on disk of a cluster, and what of it is believed.
@Suite struct KubernetesMirrorTests {
    private let key = ObjectKey(.service, namespace: "a", name: "s")
    private let json = Array("{\"metadata\":{\"name\":\"s\",\n\"namespace\":\"a\"}}".utf8)

    @Test func aFileGivesBackWhatWasWritten() throws {
        let file = MirrorFile(
            owner: "https://x n1",
            kind: .service,
            objects: [json, [], [10, 10]]
        )
        #expect(try MirrorFile(reading: file.bytes, owner: "https://x n1", kind: .service) == file)
    }

    @Test func aFileThatIsCutOffOrChangedAnywhereIsRefused() {
        let owner = "https://x n1"
        let bytes = MirrorFile(owner: owner, kind: .service, objects: [json, json]).bytes
        for count in 0..<bytes.count {
            #expect(throws: MirrorFile.Fault.self) {
                try MirrorFile(reading: Array(bytes[..<count]), owner: owner, kind: .service)
            }
        }
        for at in bytes.indices {
            var changed = bytes
            changed[at] ^= 0x15
            #expect(throws: MirrorFile.Fault.self) {
                try MirrorFile(reading: changed, owner: owner, kind: .service)
            }
        }
    }

    @Test func anotherClustersMirrorIsNotUsedAndNamed() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        var mirror = ObjectMirror(directory: folder.path, owner: "https://x n1")
        mirror.keep(key, json)
        _ = ObjectMirror.write(mirror.takePending())
        var same = ObjectMirror(directory: folder.path, owner: "https://x n1")
        #expect(same.load().map(\.json) == [json])
        #expect(same.faults.isEmpty)
        var other = ObjectMirror(directory: folder.path, owner: "https://y n1")
        #expect(other.load().isEmpty)
        #expect(other.faults.contains { $0.contains("Service.mirror") })
    }

    @Test func aSecretIsNeverWritten() {
        var mirror = ObjectMirror(directory: "/nonexistent", owner: "o")
        mirror.keep(ObjectKey(.secret, namespace: "a", name: "s"), json)
        #expect(!mirror.isDirty)
    }

    @Test func whatCouldNotBeWrittenIsWrittenAgain() {
        var mirror = ObjectMirror(directory: "/proc/nonexistent", owner: "o")
        mirror.keep(key, json)
        let pending = mirror.takePending()
        #expect(!mirror.isDirty)
        mirror.written(pending, ObjectMirror.write(pending).faults)
        #expect(mirror.isDirty)
        #expect(mirror.faults.count == 1)
    }
}
