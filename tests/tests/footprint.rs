//! What the machines and their storage take: bytes, and in which section.

use std::fs;
use std::mem::size_of;
use std::sync::Mutex;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};
use rserpool_core::handlespace::HandlespaceStorage;
use rserpool_core::{ElementStorage, PoolElement, PoolUser, Registrar, RegistrarStorage, UserStorage};

/// Upper bounds, for a 64-bit target; a 32-bit one takes less. To need more is a decision, not an accident.
#[test]
fn the_machines_and_their_storage_are_as_small_as_they_were() {
    let sizes = [
        ("ElementStorage<1>", size_of::<ElementStorage<1>>(), 704),
        ("UserStorage<2, 8>", size_of::<UserStorage<2, 8>>(), 1664),
        ("RegistrarStorage<8, 32, 1>", size_of::<RegistrarStorage<8, 32, 1>>(), 14_336),
        // A registrar with four peers.
        ("RegistrarStorage<8, 32, 5>", size_of::<RegistrarStorage<8, 32, 5>>(), 15_360),
        ("HandlespaceStorage<8, 32, 1>", size_of::<HandlespaceStorage<8, 32, 1>>(), 10_752),
        ("PoolElement", size_of::<PoolElement<'_>>(), 1600),
        ("PoolUser", size_of::<PoolUser<'_>>(), 1280),
        ("Registrar", size_of::<Registrar<'_>>(), 3840),
    ];
    for (name, size, bound) in sizes {
        println!("{size:6} bytes (at most {bound})  {name}");
    }
    for (name, size, bound) in sizes {
        assert!(size <= bound, "{name} takes {size} bytes, more than {bound}");
    }
}

static ELEMENT_STORAGE: Mutex<ElementStorage<1, 4, 2, 8>> = Mutex::new(ElementStorage::new());
static USER_STORAGE: Mutex<UserStorage<2, 8>> = Mutex::new(UserStorage::new());
static REGISTRAR_STORAGE: Mutex<RegistrarStorage<8, 32, 5>> = Mutex::new(RegistrarStorage::new());
static HANDLESPACE_STORAGE: Mutex<HandlespaceStorage<8, 32, 2>> = Mutex::new(HandlespaceStorage::new());
/// Shows that the test would notice.
static NOT_ZERO: Mutex<[u8; 64]> = Mutex::new([1; 64]);

/// The test looks at its own executable. A storage of one non-zero byte would lie in `.data`, and a chip would keep a
/// copy of it in flash.
#[test]
#[cfg(target_os = "linux")]
fn a_static_storage_lies_in_bss() {
    // So that the linker keeps them.
    assert!(ELEMENT_STORAGE.lock().is_ok() && USER_STORAGE.lock().is_ok() && NOT_ZERO.lock().is_ok());
    assert!(REGISTRAR_STORAGE.lock().is_ok() && HANDLESPACE_STORAGE.lock().is_ok());

    let executable = fs::read(std::env::current_exe().unwrap()).unwrap();
    let file = object::File::parse(&*executable).unwrap();
    let kind_of = |name: &str| {
        let symbol = file.symbols().find(|symbol| symbol.name().is_ok_and(|mangled| mangled.contains(name)));
        let section = symbol.and_then(|symbol| symbol.section_index()).expect("the symbol is in a section");
        file.section_by_index(section).unwrap().kind()
    };
    assert_eq!(kind_of("NOT_ZERO"), SectionKind::Data);
    for name in ["ELEMENT_STORAGE", "USER_STORAGE", "REGISTRAR_STORAGE", "HANDLESPACE_STORAGE"] {
        assert_eq!(kind_of(name), SectionKind::UninitializedData, "{name}");
    }
}
