"""Small files in exactly the form of well-known data sets, made here; with one image or identity leaked, or clean."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Maker = Callable[[Path, bool], None]
MAKERS: dict[str, Maker] = {}


def maker(name: str) -> Callable[[Maker], Maker]:
    """Register the maker of one data set's files under its name in `core/splits/README.md`."""

    def register(make: Maker) -> Maker:
        MAKERS[name] = make
        return make

    return register


def texts(name: str, clean: dict[str, str], leak: tuple[str, str, str]) -> None:
    """A data set whose leak is one text in one file: (file, what stands there when clean, what leaks)."""

    def make(folder: Path, leaks: bool) -> None:
        file, before, after = leak
        assert before in clean[file], name
        for other, content in clean.items():
            text = content.replace(before, after) if leaks and other == file else content
            (folder / other).write_text(text, encoding="utf-8")

    MAKERS[name] = make


texts("CelebA", {
    "list_eval_partition.txt": "000001.jpg 0\n000002.jpg 0\n182638.jpg 1\n182639.jpg 2\n",
    "identity_CelebA.txt": "000001.jpg 2880\n000002.jpg 2937\n182638.jpg 2594\n182639.jpg 1\n",
}, ("identity_CelebA.txt", "182639.jpg 1\n", "182639.jpg 2937\n"))  # fmt: skip
texts("CelebA from Kaggle", {
    "list_eval_partition.csv": "image_id,partition\n000001.jpg,0\n000002.jpg,0\n182638.jpg,1\n182639.jpg,2\n",
    "identity_CelebA.txt": "000001.jpg 2880\n000002.jpg 2937\n182638.jpg 2594\n182639.jpg 1\n",
}, ("identity_CelebA.txt", "182638.jpg 2594", "182638.jpg 2880"))  # fmt: skip
texts("CUB-200-2011", {"train_test_split.txt": "1 0\n2 1\n3 0\n4 1\n"},
      ("train_test_split.txt", "4 1\n", "4 1\n4 0\n"))  # fmt: skip
texts("VoxCeleb1, identification", {
    "iden_split.txt": "3 id10003/na8-QEFmj44/00003.wav\n1 id10003/tCq2LcKO6xY/00002.wav\n2 id10004/x/00001.wav\n",
}, ("iden_split.txt", "2 id10004/x/00001.wav", "2 id10003/tCq2LcKO6xY/00002.wav"))  # fmt: skip
texts("VoxCeleb1, verification", {
    "vox1_meta.csv": "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA.J._Buckley\tm\tIreland\tdev\nid10270\tEartha_Kitt\tf\tUSA\ttest\n",
}, ("vox1_meta.csv", "id10270\tEartha", "id10001\tEartha"))  # fmt: skip
texts("UCF101", {
    "trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nArchery/v_Archery_g08_c01.avi 3\n",
    "testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\nArchery/v_Archery_g01_c01.avi\n",
}, ("testlist01.txt", "Makeup_g01_c01", "Makeup_g08_c01"))  # fmt: skip
texts("KITTI, Eigen's split", {
    "train_files.txt": "2011_09_26/2011_09_26_drive_0022_sync 473 r\n2011_09_26/2011_09_26_drive_0022_sync 474 l\n",
    "val_files.txt": "2011_09_26/2011_09_26_drive_0028_sync 153 l\n2011_09_26/2011_09_26_drive_0028_sync 154 r\n",
}, ("val_files.txt", "0028_sync 153 l", "0022_sync 474 l"))  # fmt: skip
texts("Cityscapes", {
    "train.txt": "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png\tgtFine/train/aachen/a_gtFine.png\n",
    "val.txt": "leftImg8bit/val/munster/munster_000000_000019_leftImg8bit.png\tgtFine/val/munster/m_gtFine.png\n",
}, ("val.txt", "leftImg8bit/val/munster/munster_0", "leftImg8bit/train/aachen/aachen_0"))  # fmt: skip
texts("MSMT17", {
    "list_train.txt": "0000/0000_000_01_0303morning_0008_0.jpg 0\n0001/0001_000_01_0303noon_0028_0.jpg 1\n",
    "list_query.txt": "0000/0000_003_05_0303noon_0022_0.jpg 0\n0002/0002_000_14_0303noon_0031_1.jpg 2\n",
}, ("list_query.txt", "0002/0002_000_14_0303noon_0031_1", "0001/0001_000_01_0303noon_0028_0"))  # fmt: skip
texts("Market-1501", {
    "train.txt": "0002_c1s1_000451_03.jpg\n0007_c1s6_028546_01.jpg\n",
    "test.txt": "0001_c1s1_001051_00.jpg\n0003_c3s3_064744_00.jpg\n",
    "people.txt": "0002_c1s1_000451_03.jpg 0002\n0007_c1s6_028546_01.jpg 0007\n0001_c1s1_001051_00.jpg 0001\n"
    "0003_c3s3_064744_00.jpg 0003\n",
}, ("people.txt", "00.jpg 0003", "00.jpg 0007"))  # fmt: skip
_ISIC = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge\n"
texts("ISIC 2020", {
    "train.csv": _ISIC + "ISIC_2637011,IP_7279968,male,45.0,head/neck\nISIC_0015719,IP_3075186,female,45.0,\n",
    "test.csv": _ISIC + "ISIC_0052060,IP_3579794,male,70.0,\nISIC_0052349,IP_7782715,male,40.0,torso\n",
}, ("test.csv", "IP_7782715", "IP_3075186"))  # fmt: skip
texts("ISIC 2020, folds", {
    "train_folds.csv": "image_name,patient_id,target,kfold\n" + "".join(
        f"ISIC_{i:07d},IP_{i % 20},0,{i % 10}\n" for i in range(60)),
}, ("train_folds.csv", "ISIC_0000059,IP_19,", "ISIC_0000059,IP_3,"))  # fmt: skip
_CBIS = "patient_id,left or right breast,image view,image file path,ROI mask file path\n"
texts("CBIS-DDSM", {
    "mass_case_description_train_set.csv": _CBIS
    + 'P_00001,LEFT,CC,Mass-Training_P_00001_LEFT_CC/1.3.6/000000.dcm,"Mass-Training_P_00001_LEFT_CC_1/0.dcm\n"\n'
    + 'P_00004,RIGHT,MLO,Mass-Training_P_00004_RIGHT_MLO/1.3.6/000000.dcm,"Mass-Training_P_00004/0.dcm\n"\n',
    "mass_case_description_test_set.csv": _CBIS
    + 'P_00016,LEFT,CC,Mass-Test_P_00016_LEFT_CC/1.3.6/000000.dcm,"Mass-Test_P_00016_LEFT_CC_1/0.dcm\n"\n',
}, ("mass_case_description_test_set.csv", "P_00016,LEFT", "P_00004,LEFT"))  # fmt: skip
texts("FairFace", {
    "fairface_label_train.csv": "file,age,gender,race,service_test\ntrain/1.jpg,50-59,Male,East Asian,True\n"
    "train/2.jpg,30-39,Female,Indian,False\n",
    "fairface_label_val.csv": "file,age,gender,race,service_test\nval/1.jpg,3-9,Male,East Asian,False\n",
}, ("fairface_label_val.csv", "val/1.jpg", "train/2.jpg"))  # fmt: skip
_CHEXPERT = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Pneumonia\n"
texts("CheXpert", {
    "train.csv": _CHEXPERT + "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,\n"
    "CheXpert-v1.0/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,-1.0\n",
    "valid.csv": _CHEXPERT + "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,0.0\n",
}, ("valid.csv", "valid/patient64541/study1", "train/patient00001/study1"))  # fmt: skip
texts("NIH ChestX-ray14", {
    "train_val_list.txt": "00000001_000.png\n00000001_001.png",
    "test_list.txt": "00000003_000.png\n00000003_001.png",
    "Data_Entry_2017.csv": "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    + "".join(f"0000000{p}_00{k}.png,Hernia|Mass,{k},{p},058Y,M,PA,2682,2749,0.143,0.143\n"
              for p in (1, 3) for k in (0, 1)),
}, ("test_list.txt", "00000003_001", "00000001_001"))  # fmt: skip
texts("PTB-XL", {
    "ptbxl_database.csv": "ecg_id,patient_id,age,report,scp_codes,strat_fold,filename_hr\n" + "".join(
        f"{i},{15000 + i}.0,56.0,\"sinus, 'normal' \",\"{{'NORM': 100.0, 'SR': 0.0}}\",{i % 10 + 1},"
        f"records500/00000/{i:05d}_hr\n" for i in range(1, 31)),
}, ("ptbxl_database.csv", "9,15009.0", "9,15010.0"))  # fmt: skip
_VOICE = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\n"
texts("Common Voice", {
    "train.tsv": _VOICE + 'c1\tcommon_voice_en_1.mp3\t"Open, she said.\t2\t0\t\t\t\n'
    "c9\tcommon_voice_en_2.mp3\tPlain.\t2\t0\ttwenties\tmale\tus\n"
    "c3\tcommon_voice_en_3.mp3\tand \"this\"\t2\t1\t\t\t\n",
    "test.tsv": _VOICE + "c7\tcommon_voice_en_4.mp3\tOther.\t2\t0\t\t\t\n",
}, ("test.tsv", "c7\t", "c9\t"))  # fmt: skip
texts("MedMNIST, as saved", {"pathmnist.csv": "TRAIN,train0.png,0\nTRAIN,train1.png,3\nTEST,test0.png,0\n"},
      ("pathmnist.csv", "TEST,test0", "TEST,train1"))  # fmt: skip
texts("HAM10000", {
    "HAM10000_metadata.csv": "lesion_id,image_id,dx,dx_type,age,sex,localization,split\n"
    "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp,train\nHAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp,train\n"
    "HAM_0002730,ISIC_0026769,bkl,histo,80.0,male,scalp,test\n",
}, ("HAM10000_metadata.csv", "HAM_0002730", "HAM_0000118"))  # fmt: skip
texts("LFW, people", {
    "peopleDevTrain.txt": "2\nAaron_Guiel\t1\nAaron_Patterson\t1\n",
    "peopleDevTest.txt": "2\nAJ_Lamas\t1\nAaron_Peirsol\t4\n",
}, ("peopleDevTest.txt", "AJ_Lamas", "Aaron_Guiel"))  # fmt: skip
_COCO = {"license": 3, "coco_url": "http://x/1.jpg", "height": 480, "width": 640}


@maker("COCO")
def _coco(folder: Path, leaks: bool) -> None:
    for split, names in (("train", [9, 25]), ("val", [25 if leaks else 139])):
        images = [{**_COCO, "file_name": f"{n:012d}.jpg", "id": n} for n in names]
        content = {"info": {}, "images": images, "annotations": [{"id": 1, "image_id": 9}]}
        (folder / f"instances_{split}2017.json").write_text(json.dumps(content))


texts("ImageNet lists", {
    "train.txt": "n01440764/n01440764_10026.JPEG 0\nn01443537/n01443537_10007.JPEG 1\n",
    "val.txt": "ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n",
}, ("val.txt", "ILSVRC2012_val_00000002", "n01440764/n01440764_10026"))  # fmt: skip


@maker("iNaturalist")
def _inaturalist(folder: Path, leaks: bool) -> None:
    for split, names in (("train", ["a", "b"]), ("val", ["a" if leaks else "c"])):
        images = [{"id": i, "file_name": f"train_val_images/Aves/{n}.jpg", "width": 800} for i, n in enumerate(names)]
        (folder / f"{split}2017.json").write_text(json.dumps({"images": images, "categories": []}))


texts("Kaggle, train and test", {
    "train.csv": "id_code,diagnosis\n000c1434d8d7,2\n001639a390f0,4\n",
    "test.csv": "id_code\n0005cfc8afb6\n003f0afdcd15\n",
}, ("test.csv", "003f0afdcd15", "001639a390f0"))  # fmt: skip


@maker("Hugging Face")
def _hugging_face(folder: Path, leaks: bool) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for split, who in (("train", [1, 2]), ("test", [2 if leaks else 3])):
        images = pa.array([{"bytes": b"x", "path": f"{split}{i}.jpg"} for i in range(len(who))], kind)
        table = pa.table({"image": images, "celeb_id": pa.array(who, pa.int64())})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


texts("PadChest", {
    "labels.csv": ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,Report,split\n"
    '0,20536686640136348236148679891455886468_k6ga29.png,0,20140915,2,'
    '839860488694292331637988235681460987,"sin, hallazgos",train\n'
    "1,135803415504923515076821959678074435083_fzis7b.png,0,20150914,3,313572750430997347502932654319389875966,,test\n",
}, ("labels.csv", "313572750430997347502932654319389875966", "839860488694292331637988235681460987"))  # fmt: skip
texts("Flickr8k", {
    "Flickr_8k.trainImages.txt": "2513260012_03d33305cf.jpg\n2903617548_d3e38d7f88.jpg\n",
    "Flickr_8k.testImages.txt": "3385593926_d3e9c21170.jpg\n2677656448_6b7e7702af.jpg\n",
}, ("Flickr_8k.testImages.txt", "2677656448_6b7e7702af", "2903617548_d3e38d7f88"))  # fmt: skip
texts("Pascal VOC, a class", {
    "aeroplane_train.txt": "2008_000008 -1\n2008_000015  1\n", "aeroplane_val.txt": "2008_000002 -1\n2008_000003  1\n",
}, ("aeroplane_val.txt", "2008_000003", "2008_000015"))  # fmt: skip
texts("Food-101", {"train.txt": "apple_pie/1005649\nwaffles/1000432\n",
                    "test.txt": "apple_pie/1011328\nwaffles/1009\n"},
      ("test.txt", "waffles/1009", "waffles/1000432"))  # fmt: skip
texts("Places365", {
    "places365_train_standard.txt": "/a/airfield/00000001.jpg 0\n/a/airfield/00000002.jpg 0\n",
    "places365_val.txt": "Places365_val_00000001.jpg 165\nPlaces365_val_00000002.jpg 358\n",
}, ("places365_val.txt", "Places365_val_00000001", "/a/airfield/00000002"))  # fmt: skip
texts("VGGFace2", {
    "identity_meta.csv": 'Class_ID, Name, Sample_Num, Flag, Gender\nn000001, "14th_Dalai_Lama", 424, 0, m\n'
    'n000002, "A_Fine_Frenzy", 315, 1, f\n',
}, ("identity_meta.csv", "n000002", "n000001"))  # fmt: skip
texts("DeepFashion, in-shop", {
    "list_eval_partition.txt": "4\nimage_name item_id evaluation_status\n"
    "img/WOMEN/id_01/1_front.jpg    id_01    train\n"
    "img/WOMEN/id_01/1_back.jpg     id_01    train\nimg/WOMEN/id_02/1_front.jpg    id_02    query\n"
    "img/WOMEN/id_02/2_side.jpg     id_02    gallery\n",
}, ("list_eval_partition.txt", "id_02    gallery", "id_01    gallery"))  # fmt: skip
texts("Speech Commands", {
    "train.txt": "bed/0a7c2a8d_nohash_0.wav\nbird/0a7c2a8d_nohash_0.wav\n",
    "testing_list.txt": "bed/0c40e715_nohash_0.wav\n",
}, ("testing_list.txt", "bed/0c40e715", "bed/0a7c2a8d"))  # fmt: skip
